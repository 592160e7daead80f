-- As many lines of batches as the closed accounts of the hour's commits say, by stream.
with posted as (
    select stream, count(*) as lines from {batch} where batch_id is not null group by stream
),
account as (
    select p.stream, sum(p.lines) as lines
    from audit.commit c
    join ledger.batch_part p
      on p.batch_id = c.batch_id and p.topic = c.topic and p.topic_incarnation = c.topic_incarnation
     and p.kafka_partition = c.kafka_partition and p.start_offset = c.start_offset
    where c.kind = 'part' and c.recorded_at >= $hour_start and c.recorded_at < $hour_end
    group by p.stream
)
select stream, coalesce(a.lines, 0) as expected, coalesce(p.lines, 0) as found
from posted p
full join account a using (stream)
where coalesce(a.lines, 0) <> coalesce(p.lines, 0)
