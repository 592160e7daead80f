-- kgCO2e per standing entry of an activity on a day that is over: between a third of the least and three times the
-- most of the daily means of the 28 days before. Judged where fourteen of those days have a positive mean.
with day as (
    select d.activity_type, d.scope, d.basis, d.local_date, sum(d.kgco2e) / sum(d.entries) as mean
    from windows.five_minute_delta d
    where d.local_date between $unit::date - 28 and $unit::date
    group by 1, 2, 3, 4
    having sum(d.entries) > 0 and sum(d.kgco2e) > 0
),
usual as (
    select activity_type, scope, basis, min(mean) as least, max(mean) as most
    from day
    where local_date < $unit::date
    group by 1, 2, 3
    having count(*) >= 14
)
select u.activity_type, u.scope, u.basis, t.mean::text, u.least::text, u.most::text
from usual u
join day t on t.local_date = $unit::date and (t.activity_type, t.scope, t.basis) = (u.activity_type, u.scope, u.basis)
where $unit::date < ((now() at time zone 'UTC') - interval '36 hours')::date
  and (t.mean * 3 < u.least or t.mean > u.most * 3)
  and (select 1 from {batch} limit 1) is distinct from 0
