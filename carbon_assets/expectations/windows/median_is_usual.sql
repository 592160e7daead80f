-- The median window of an activity on a day that is over, a figure that occurs: between a third of the least and
-- three times the most of the daily medians of the 28 days before. Judged where fourteen of those days have one.
with series as (
    select d.activity_type, d.scope, d.basis, d.local_date, sum(d.kgco2e) as kgco2e
    from windows.five_minute_delta d
    where d.local_date between $unit::date - 28 and $unit::date
    group by 1, 2, 3, 4, d.organization_id, d.facility_id, d.window_start, d.category, d.unit
    having sum(d.entries) > 0
),
day as (
    select activity_type, scope, basis, local_date, percentile_disc(0.5) within group (order by kgco2e) as median
    from series
    where kgco2e > 0
    group by 1, 2, 3, 4
),
usual as (
    select activity_type, scope, basis, min(median) as least, max(median) as most
    from day
    where local_date < $unit::date
    group by 1, 2, 3
    having count(*) >= 14
)
select u.activity_type, u.scope, u.basis, t.median::text, u.least::text, u.most::text
from usual u
join day t on t.local_date = $unit::date and (t.activity_type, t.scope, t.basis) = (u.activity_type, u.scope, u.basis)
where $unit::date < ((now() at time zone 'UTC') - interval '36 hours')::date
  and (t.median * 3 < u.least or t.median > u.most * 3)
  and (select 1 from {batch} limit 1) is distinct from 0
