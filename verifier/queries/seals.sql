-- Every seal, in order.
select seal_no, batch_id, first_leaf, leaves, tree_size, batch_root, tree_root
from audit.seal order by seal_no
