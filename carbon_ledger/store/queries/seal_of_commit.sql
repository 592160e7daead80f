-- Where the commit's first entry is in the tree, and the first head that covers it.
select c.seal_no, c.first_leaf, s.tree_size, encode(s.tree_root, 'hex') as tree_root, s.sealed_at,
       (select min(h.tree_size) from audit.head h where h.tree_size >= s.tree_size) as head_tree_size
from audit.seal_commit c join audit.seal s using (seal_no)
where c.commit_id = %(commit_id)s
