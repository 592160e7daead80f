-- Lines of an activity on a day that is over: between half the least and twice the most of the 28 days before, ten
-- more or fewer allowed. Judged where the activity has fourteen of those days.
with day as (
    select d.activity_type, d.scope, d.basis, d.local_date, sum(d.lines) as lines
    from windows.five_minute_delta d
    where d.local_date between $unit::date - 28 and $unit::date
    group by 1, 2, 3, 4
),
usual as (
    select activity_type, scope, basis, min(lines) as least, max(lines) as most
    from day
    where local_date < $unit::date
    group by 1, 2, 3
    having count(*) >= 14
)
select u.activity_type, u.scope, u.basis, t.lines, u.least, u.most
from usual u
join day t on t.local_date = $unit::date and (t.activity_type, t.scope, t.basis) = (u.activity_type, u.scope, u.basis)
where $unit::date < ((now() at time zone 'UTC') - interval '36 hours')::date
  and (t.lines * 2 + 10 < u.least or t.lines > u.most * 2 + 10)
  and (select 1 from {batch} limit 1) is distinct from 0
