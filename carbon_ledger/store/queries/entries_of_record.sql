-- The entries that a record posted: all of a part bear one moment, which leads to their pages.
select e.*
from ledger.entry e
where e.recorded_at = %(recorded_at)s and e.batch_id = %(batch_id)s
  and e.topic = %(topic)s and e.topic_incarnation = %(topic_incarnation)s
  and e.kafka_partition = %(kafka_partition)s and e.kafka_offset = %(kafka_offset)s
order by e.activity_month, e.line_no
