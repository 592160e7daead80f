-- Every series of the day is the sum of its entries, to the last digit.
with posted as (
    select e.organization_id, e.facility_id, e.country_iso2,
           to_timestamp(floor(extract(epoch from e.occurred_from) / 300) * 300) as window_start, e.scope, e.category,
           e.basis, e.activity_type, e.unit, sum(e.quantity) as quantity, sum(e.kgco2e) as kgco2e,
           sum(case when e.reverses_id is null then 1 else -1 end) as entries, count(*) as lines
    from ledger.entry e
    where e.local_date = $unit and e.activity_month = $month
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
),
signed as (
    select *, 1 as sign from posted
    union all
    select organization_id, facility_id, country_iso2, window_start, scope, category, basis, activity_type, unit,
           quantity, kgco2e, entries, lines, -1
    from windows.five_minute_delta
    where local_date = $unit
)
select s.activity_type, s.window_start::text, sum(s.sign * s.kgco2e)::text as kgco2e_missing,
       sum(s.sign * s.lines) as lines_missing
from signed s
where (select 1 from {batch} limit 1) is distinct from 0
group by s.organization_id, s.facility_id, s.country_iso2, s.window_start, s.scope, s.category, s.basis,
         s.activity_type, s.unit
having sum(s.sign * s.quantity) <> 0 or sum(s.sign * s.kgco2e) <> 0 or sum(s.sign * s.entries) <> 0
       or sum(s.sign * s.lines) <> 0
