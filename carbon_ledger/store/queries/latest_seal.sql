select seal_no, tree_size, tree_root, complete_until, sealed_at from audit.seal order by seal_no desc limit 1
