-- The part's range, and its partition's progress at its start: what lies before was no record, or is not archived.
with progress as (
    insert into manifest.progress (topic, topic_incarnation, kafka_partition, first_offset, planned_offset, committed_offset)
    values (%(topic)s, %(topic_incarnation)s, %(kafka_partition)s, %(start_offset)s, %(end_offset)s, %(start_offset)s)
    on conflict (topic, topic_incarnation, kafka_partition)
        do update set planned_offset = excluded.planned_offset, committed_offset = excluded.committed_offset
    returning topic
)
insert into manifest.batch_range (batch_id, topic, topic_incarnation, kafka_partition, start_offset, end_offset)
select %(batch_id)s, p.topic, %(topic_incarnation)s, %(kafka_partition)s, %(start_offset)s, %(end_offset)s from progress p
