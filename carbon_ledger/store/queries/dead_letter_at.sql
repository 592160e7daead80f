select d.fate, d.reason_code, d.reason, d.field, d.offending_value, d.valid_values, d.event_id, d.batch_id, d.recorded_at
from ledger.dead_letter d
where d.topic = %(topic)s and d.topic_incarnation = %(topic_incarnation)s
  and d.kafka_partition = %(kafka_partition)s and d.kafka_offset = %(kafka_offset)s
