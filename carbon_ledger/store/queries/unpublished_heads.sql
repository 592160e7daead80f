-- Heads that a place has not got yet, smallest tree first. Each place gets heads in this order, so what it lacks is
-- beyond the last one that it has.
select h.tree_size, h.prev_size, h.seal_no, h.origin, h.root, h.note, h.public_key, h.signed_at
from audit.head h
where h.tree_size > coalesce((select max(p.tree_size) from audit.head_publication p where p.place = %(place)s), 0)
order by h.tree_size
limit %(limit)s
