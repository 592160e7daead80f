select tree_size, place, receipt, published_at
from audit.head_publication where tree_size = any(%(tree_sizes)s) order by tree_size, place
