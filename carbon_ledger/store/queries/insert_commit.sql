insert into audit.commit
    (kind, recorded_at, batch_id, topic, topic_incarnation, kafka_partition, start_offset, entries, entry_ids,
     content_sha256s)
values
    (%(kind)s, %(recorded_at)s, %(batch_id)s, %(topic)s, %(topic_incarnation)s::int, %(kafka_partition)s,
     %(start_offset)s, %(entries)s, %(entry_ids)s, %(content_sha256s)s)
