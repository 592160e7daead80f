-- Reversals carry their negative figures and the flags of what they take back, so every sum is of what stood.
select
    e.organization_id,
    e.country_iso2,
    sum(e.kgco2e) as kgco2e,
    coalesce(
        sum(e.kgco2e) filter (where 'boundary_substitute' = any(string_to_array(e.flags, ','))), 0
    ) as substituted_kgco2e,
    sum(case when e.reverses_id is null then 1 else -1 end)::bigint as entries,
    array_agg(distinct e.factor_release) as factor_releases
from ledger.entries_as_of(%(as_of)s::timestamptz) e
where e.scope = 2
  and e.basis = 'location'
  and e.activity_month >= %(start)s and e.activity_month < %(end)s
  and e.local_date >= %(start)s and e.local_date < %(end)s
  and (%(organization)s::text is null or e.organization_id = %(organization)s::text)
group by e.organization_id, e.country_iso2
having sum(case when e.reverses_id is null then 1 else -1 end) > 0
order by e.organization_id, e.country_iso2
