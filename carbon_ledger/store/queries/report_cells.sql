-- Cells of report snapshots, newest first; each parameter that is null asks for any.
select r.snapshot_id, r.organization_id, r.fiscal_year, r.datapoint, r.concept, r.country_iso2, r.value, r.unit,
       r.entries, r.as_of, r.code_version, r.run_id
from reports.esrs_e1 r
where (%(snapshot_id)s::uuid is null or r.snapshot_id = %(snapshot_id)s)
  and (%(organization_id)s::text is null or r.organization_id = %(organization_id)s)
  and (%(fiscal_year)s::integer is null or r.fiscal_year = %(fiscal_year)s)
  and (%(datapoint)s::text is null or r.datapoint = %(datapoint)s)
  and (%(countries)s::text[] is null or r.country_iso2 = any(%(countries)s))
  and (%(known_from)s::timestamptz is null or r.as_of >= %(known_from)s)
order by r.as_of desc, r.recorded_at desc, r.snapshot_id, r.organization_id, r.datapoint, r.country_iso2
