-- Days that were posted to after their windows were last compared with their entries.
select distinct w.local_date
from manifest.batch b
join manifest.batch_window w using (batch_id)
where b.status = 'done' and b.finished_at > clock_timestamp() - make_interval(days => %(look_back_days)s)
  and not exists (
    select from windows.verification v
    where v.local_date = w.local_date and v.verified_at >= b.finished_at)
order by w.local_date
