-- The letter whose replay the record at these coordinates was, if it was refused again.
select c.letter_id
from ledger.dead_letter d
join ledger.letter_decision c
  on encode(convert_to(c.decision_id::text, 'UTF8'), 'hex')
   = left(jsonb_path_query_first(d.record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72)
where d.topic = %(topic)s and d.topic_incarnation = %(topic_incarnation)s
  and d.kafka_partition = %(kafka_partition)s and d.kafka_offset = %(kafka_offset)s
