-- Every signed head, in order.
select tree_size, prev_size, seal_no, origin, root, note, public_key
from audit.head order by tree_size
