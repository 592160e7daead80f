-- The closed account of a part.
insert into ledger.batch_part (
    batch_id, attempt, stream, topic, topic_incarnation, kafka_partition, start_offset, end_offset, records_read, ledgered, duplicate, dead_lettered, quarantined, offsets_without_record, lines, first_appended_at, last_appended_at, archive_object, archive_sha256, archive_bytes, factor_release, code_version, recorded_at
) values (
    %(batch_id)s, %(attempt)s, %(stream)s, %(topic)s, %(topic_incarnation)s, %(kafka_partition)s, %(start_offset)s, %(end_offset)s, %(records_read)s, %(ledgered)s, %(duplicate)s, %(dead_lettered)s, %(quarantined)s, %(offsets_without_record)s, %(lines)s, %(first_appended_at)s, %(last_appended_at)s, %(archive_object)s, %(archive_sha256)s, %(archive_bytes)s, %(factor_release)s, %(code_version)s, %(recorded_at)s
)
