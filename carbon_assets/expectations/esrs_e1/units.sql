-- The newest snapshot of each fiscal year, where this very suite has not looked at it.
select n.snapshot_id::text as unit, jsonb_build_object('unit', n.snapshot_id::text) as parameters
from (
    select distinct on (r.fiscal_year) r.snapshot_id, r.fiscal_year
    from reports.esrs_e1 r
    where r.recorded_at <= %(horizon)s
    order by r.fiscal_year, r.recorded_at desc, r.snapshot_id
) as n
where not exists (
    select from audit.validation v
    where v.suite = %(suite)s and v.unit = n.snapshot_id::text and v.suite_sha256 = %(suite_sha256)s)
order by n.fiscal_year
