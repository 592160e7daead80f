insert into manifest.letter_uptake (topic_id, kafka_partition, next_offset)
values (%(topic_id)s, %(kafka_partition)s, %(next_offset)s)
on conflict (topic_id, kafka_partition)
    do update set next_offset = excluded.next_offset, updated_at = clock_timestamp()
