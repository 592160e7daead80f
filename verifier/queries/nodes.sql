-- Stored roots of complete subtrees.
select level, index, hash from audit.node
