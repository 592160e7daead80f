-- Local days whose windows were added to after they were last looked at. The look goes back a week before the last
-- validation, and to the beginning if there is none.
with since as (
    select coalesce(max(v.recorded_at) - interval '7 days', timestamptz '-infinity') as moment
    from audit.validation v
    where v.suite = %(suite)s
),
changed as (
    select w.local_date, b.finished_at as at
    from manifest.batch b
    join manifest.batch_window w using (batch_id), since
    where b.status = 'done' and b.finished_at > since.moment and b.finished_at <= %(horizon)s
    union all
    select d.local_date, d.recorded_at
    from windows.five_minute_delta d, since
    where d.batch_id is null and d.recorded_at > since.moment and d.recorded_at <= %(horizon)s
)
select c.local_date::text as unit,
       jsonb_build_object('unit', c.local_date::text, 'month', date_trunc('month', c.local_date)::date::text) as parameters
from changed c
group by c.local_date
having not exists (
    select from audit.validation v
    where v.suite = %(suite)s and v.unit = c.local_date::text and v.as_of >= max(c.at))
order by c.local_date
