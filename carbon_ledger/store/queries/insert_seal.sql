insert into audit.seal (seal_no, batch_id, first_leaf, leaves, tree_size, batch_root, tree_root, complete_until, sealed_at)
values (%(seal_no)s, %(batch_id)s, %(first_leaf)s, %(leaves)s, %(tree_size)s, %(batch_root)s, %(tree_root)s,
        %(complete_until)s, coalesce(%(sealed_at)s, clock_timestamp()))
