-- Every decision on a letter, where its record went, and what came back of it.
select c.decision_no, c.kind, c.try_no, c.is_forced, c.changes, c.decided_by, c.reason, c.decided_at, s.sent_at,
       s.topic as sent_topic, s.kafka_partition as sent_partition, s.kafka_offset as sent_offset,
       (
           select coalesce(
               jsonb_agg(
                   jsonb_build_object(
                       'topic', d.topic, 'kafka_partition', d.kafka_partition, 'kafka_offset', d.kafka_offset,
                       'batch_id', d.batch_id, 'reason_code', d.reason_code, 'reason', d.reason, 'field', d.field,
                       'value', d.offending_value, 'valid', d.valid_values)
                   order by d.kafka_offset), '[]')
           from ledger.dead_letter d
           where left(jsonb_path_query_first(d.record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72)
               = encode(convert_to(c.decision_id::text, 'UTF8'), 'hex')
       ) as returns
from ledger.letter_decision c
left join ledger.letter_sending s using (decision_id)
where c.letter_id = %(letter_id)s
order by c.decision_no
