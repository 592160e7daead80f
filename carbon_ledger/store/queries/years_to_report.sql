-- Years that were posted to after the moment their last report is of, or after that of the last whole report that
-- was kept, once an hour has passed since: a report is kept of the last posting of every burst. A day is of the fiscal
-- year of each organization that has something on it; where all years begin in January, the day alone says which.
with months as (
    select m.organization_id, m.first_month
    from reference.first_months('infinity') m
    where m.first_month > 1
),
changed_day as (
    select w.local_date, max(b.finished_at) as changed_at
    from manifest.batch b
    join manifest.batch_window w using (batch_id)
    where b.status = 'done' and b.finished_at > clock_timestamp() - make_interval(days => %(look_back_days)s)
    group by 1
    union all
    select d.local_date, max(d.recorded_at)
    from windows.five_minute_delta d
    where d.batch_id is null
    group by 1
),
changed as (
    select ledger.fiscal_year(c.local_date, m.first_month) as fiscal_year, max(c.changed_at) as changed_at
    from changed_day c
    cross join (select 1 union select m.first_month from months m) m (first_month)
    where not exists (select from months)
       or exists (
           select from windows.five_minute_delta d
           left join months o using (organization_id)
           where d.local_date = c.local_date and coalesce(o.first_month, 1) = m.first_month)
    group by 1
),
reported as (
    select r.fiscal_year, max(r.as_of) as reported_at from reports.esrs_e1 r group by r.fiscal_year
),
kept as (
    select s.fiscal_year, max(s.as_of) as kept_of, max(s.recorded_at) as kept_at
    from reports.snapshot s
    where s.report = 'esrs_e1'
    group by s.fiscal_year
)
select c.fiscal_year, max(c.changed_at) as changed_at, max(r.reported_at) as reported_at
from changed c
left join reported r using (fiscal_year)
left join kept k using (fiscal_year)
group by c.fiscal_year
-- A year without scope 2 has whole reports alone.
having (max(r.reported_at) is null and max(k.kept_of) is null)
    or max(r.reported_at) < max(c.changed_at)
    or (coalesce(max(k.kept_of), '-infinity') < max(c.changed_at)
        and coalesce(max(k.kept_at), '-infinity') < clock_timestamp() - interval '1 hour')
order by c.fiscal_year
