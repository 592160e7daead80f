-- Numbers of the lines that some records have in the ledger, whether they stand or not, by record.
select distinct e.topic, e.topic_incarnation, e.kafka_partition, e.kafka_offset, e.line_no
from ledger.entry e
join unnest(%(topics)s::text[], %(incarnations)s::integer[], %(partitions)s::integer[], %(offsets)s::bigint[])
    as w (topic, incarnation, kafka_partition, kafka_offset)
    on w.topic = e.topic and w.incarnation = e.topic_incarnation and w.kafka_partition = e.kafka_partition
    and w.kafka_offset = e.kafka_offset
where e.activity_month >= %(month)s::date - interval '1 month'
  and e.activity_month <= %(month)s::date + interval '1 month'
  and e.reverses_id is null
