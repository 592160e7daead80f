select d.topic, d.topic_incarnation, d.kafka_partition, d.kafka_offset, d.stream, d.batch_id, d.fate,
       d.reason_code, d.reason, d.field, d.offending_value, d.valid_values, d.schema_id, d.appended_at,
       d.record_key, d.record_value, d.record_headers
from ledger.dead_letter d
where not exists (
    select from ledger.dead_letter_relay r
    where (r.topic, r.topic_incarnation, r.kafka_partition, r.kafka_offset)
        = (d.topic, d.topic_incarnation, d.kafka_partition, d.kafka_offset)
)
order by d.topic, d.topic_incarnation, d.kafka_partition, d.kafka_offset
limit %(limit)s
