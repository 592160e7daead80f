insert into audit.seal_commit (seal_no, commit_id, position, first_leaf, entries)
select %(seal_no)s, m.commit_id, m.position - 1, m.first_leaf, m.entries
from unnest(%(commit_ids)s::bigint[], %(first_leaves)s::bigint[], %(entries)s::int[])
     with ordinality as m (commit_id, first_leaf, entries, position)
