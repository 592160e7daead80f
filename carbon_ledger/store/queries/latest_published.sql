select max(p.tree_size)
from audit.head_publication p
join audit.head h using (tree_size)
where p.place = %(place)s and h.origin = %(origin)s
