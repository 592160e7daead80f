-- The archived objects of the batches, with the account each belongs to.
select batch_id, kafka_partition, start_offset, archive_object, archive_sha256, archive_bytes,
       records_read, dead_lettered, quarantined
from ledger.batch_part
where batch_id = any(%s)
order by batch_id, topic, topic_incarnation, kafka_partition
