-- Committed parts with what it takes to judge their records again: of one batch, of one place, of all.
select stream, topic, topic_incarnation, kafka_partition, start_offset, end_offset, batch_id, attempt, recorded_at,
       factor_release, code_version, archive_object, archive_sha256, archive_bytes, records_read
from ledger.batch_part
where (%(batch_id)s::bigint is null or batch_id = %(batch_id)s)
  and (%(topic)s::text is null or (topic = %(topic)s and kafka_partition = %(kafka_partition)s))
  and (%(topic_incarnation)s::smallint is null or topic_incarnation = %(topic_incarnation)s)
  and (%(kafka_offset)s::bigint is null or (start_offset <= %(kafka_offset)s and end_offset > %(kafka_offset)s))
order by recorded_at, topic, topic_incarnation, kafka_partition, start_offset
