select tree_size, prev_size, seal_no, origin, root, note, public_key, signed_at
from audit.head order by tree_size desc limit %(limit)s
