-- Years that were posted to after the moment their last report is of.
with changed as (
    select extract(year from w.local_date)::integer as fiscal_year, max(b.finished_at) as changed_at
    from manifest.batch b
    join manifest.batch_window w using (batch_id)
    where b.status = 'done' and b.finished_at > clock_timestamp() - make_interval(days => %(look_back_days)s)
    group by 1
    union all
    select extract(year from d.local_date)::integer, max(d.recorded_at)
    from windows.five_minute_delta d
    where d.batch_id is null
    group by 1
),
reported as (
    select r.fiscal_year, max(r.as_of) as reported_at from reports.esrs_e1 r group by r.fiscal_year
)
select c.fiscal_year, max(c.changed_at) as changed_at, max(r.reported_at) as reported_at
from changed c
left join reported r using (fiscal_year)
group by c.fiscal_year
having max(r.reported_at) is null or max(r.reported_at) < max(c.changed_at)
order by c.fiscal_year
