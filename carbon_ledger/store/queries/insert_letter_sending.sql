insert into ledger.letter_sending (decision_id, topic, topic_incarnation, kafka_partition, kafka_offset)
values (
    %(decision_id)s, %(topic)s,
    coalesce((select max(s.topic_incarnation) from manifest.stream s where s.topic = %(topic)s), 0),
    %(kafka_partition)s, %(kafka_offset)s
)
on conflict do nothing
