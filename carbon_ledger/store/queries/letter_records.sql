-- The letters' latest bytes, to be looked at or sent again.
select l.letter_id, l.kind, l.fate, l.stream, l.raw_topic, l.reason_code, l.tries, l.content_type, l.record_key,
       l.record_value, l.record_headers, l.decided_at,
       case when l.state = 'open' and l.tries >= %(tries_max)s then 'exhausted' else l.state end as state
from ledger.letter l
where l.letter_id = any(%(ids)s::text[])
  and (%(topics)s::text[] is null or l.topic = any(%(topics)s::text[]))
  and (%(offsets)s::bigint[] is null or l.kafka_offset = any(%(offsets)s::bigint[]))
order by l.recorded_at, l.letter_id
