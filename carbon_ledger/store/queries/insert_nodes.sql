insert into audit.node (level, index, hash)
select n.level, n.index, n.hash
from unnest(%(levels)s::smallint[], %(indices)s::bigint[], %(hashes)s::bytea[]) as n (level, index, hash)
