-- The total of a fiscal year that is over is between half and twice that of the snapshot before this one by a week.
with looked_at as (
    select * from {batch}
),
before as (
    select distinct on (r.organization_id) r.organization_id, r.value
    from looked_at
    join reports.esrs_e1 r
      on r.organization_id = looked_at.organization_id and r.fiscal_year = looked_at.fiscal_year
     and r.datapoint = looked_at.datapoint and r.country_iso2 = looked_at.country_iso2
     and r.recorded_at < looked_at.recorded_at - interval '7 days'
    where looked_at.country_iso2 = '' and extract(year from looked_at.as_of) > looked_at.fiscal_year
    order by r.organization_id, r.recorded_at desc
)
select looked_at.organization_id, b.value::text as before, looked_at.value::text as now
from looked_at
join before b on b.organization_id = looked_at.organization_id
where looked_at.country_iso2 = '' and (looked_at.value > 2 * b.value or 2 * looked_at.value < b.value)
