select w.number, n.index, n.hash
from unnest(%(levels)s::smallint[], %(firsts)s::bigint[], %(lasts)s::bigint[])
     with ordinality as w (level, first, last, number)
join audit.node n on n.level = w.level and n.index >= w.first and n.index < w.last
order by w.number, n.index
