-- As many entries as the hour's commits list, moment by moment.
with posted as (
    select recorded_at, min(stream) as stream, count(*) as entries from {batch} group by recorded_at
),
listed as (
    select c.recorded_at, sum(c.entries) as entries
    from audit.commit c
    where c.recorded_at >= $hour_start and c.recorded_at < $hour_end
    group by c.recorded_at
)
select p.stream, recorded_at::text, coalesce(l.entries, 0) as expected, coalesce(p.entries, 0) as found
from posted p
full join listed l using (recorded_at)
where p.entries is distinct from l.entries
