-- A record of Kafka posts each of its lines once.
select stream, min(entry_id::text) as entry_id, count(*) as posted
from {batch}
where batch_id is not null and reverses_id is null
group by stream, topic, topic_incarnation, kafka_partition, kafka_offset, line_no
having count(*) > 1
