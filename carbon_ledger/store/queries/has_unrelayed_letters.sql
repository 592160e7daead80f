select exists (
    select from ledger.dead_letter d
    where d.stream = %(stream)s and d.recorded_at < clock_timestamp() - make_interval(secs => %(seconds)s)
      and not exists (
        select from ledger.dead_letter_relay r
        where r.topic = d.topic and r.topic_incarnation = d.topic_incarnation
          and r.kafka_partition = d.kafka_partition and r.kafka_offset = d.kafka_offset))
