-- The release's hash, computed from the hashes of its rows as they are now, is the one it was recorded with. Counts
-- are another expectation's.
with looked_at as (
    select * from {batch}
),
line (part, id, version, text) as (
    select 1, f.factor_id collate "C", f.version,
           f.factor_id || E'\t' || f.version || E'\t' || encode(f.sha256, 'hex')
    from looked_at join factors.factor f on f.factor_id = looked_at.factor_id and f.version = looked_at.version
    union all
    select 2, i.index_id collate "C", i.version,
           E'index\t' || i.index_id || E'\t' || i.version || E'\t' || encode(i.sha256, 'hex')
    from factors.release_index x
    join factors.index_row i on i.index_id = x.index_id and i.version = x.version
    where x.release_id = $unit
)
select r.release_id
from factors.release r
where r.release_id = $unit
  and r.factor_count = (select count(*) from line where part = 1)
  and r.sha256 is distinct from (
    select sha256(convert_to(
        'carbon-ledger factor release ' || case when r.index_count > 0 then '2' else '1' end || E'\n'
        || left(r.release_id, -13) || E'\n' || string_agg(l.text, E'\n' order by l.part, l.id, l.version), 'UTF8'))
    from line l)
