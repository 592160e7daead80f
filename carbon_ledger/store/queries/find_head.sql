select tree_size, prev_size, seal_no, origin, root, note, public_key, signed_at
from audit.head where tree_size = %(tree_size)s
