insert into ledger.dead_letter_relay (topic, topic_incarnation, kafka_partition, kafka_offset)
values (%(topic)s, %(topic_incarnation)s, %(kafka_partition)s, %(kafka_offset)s)
on conflict do nothing
