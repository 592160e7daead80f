insert into factors.release_index (release_id, index_id, version)
select %(release_id)s, row.id, row.version
from unnest(%(ids)s::text[], %(versions)s::integer[]) as row (id, version)
