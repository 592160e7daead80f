-- Accounts of parts, spelled as commits are.
select topic, topic_incarnation::text, kafka_partition::text, start_offset, batch_id::text, lines,
       trunc(extract(epoch from recorded_at) * 1000000)::text
from ledger.batch_part
