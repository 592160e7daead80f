-- Letters that meet every condition given; a condition that is null is none. `topics` and `offsets` only narrow the
-- search for `ids`. `exhausted` is what is open after so many tries.
select l.letter_id, l.kind, l.fate, l.standing as state, l.stream, l.source, l.coordinates, l.batch_id, l.reason_code,
       l.reason, l.field, l.offending_value, l.valid_values, l.first_reason_code, l.happened_at, l.recorded_at, l.tries,
       l.decided_by, l.decided_at
from (
    select v.*, case when v.state = 'open' and v.tries >= %(tries_max)s then 'exhausted' else v.state end as standing
    from ledger.letter v
) l
where (%(ids)s::text[] is null or l.letter_id = any(%(ids)s::text[]))
  and (%(topics)s::text[] is null or l.topic = any(%(topics)s::text[]))
  and (%(offsets)s::bigint[] is null or l.kafka_offset = any(%(offsets)s::bigint[]))
  and (%(reason)s::text is null or l.reason_code = %(reason)s::text)
  and (%(stream)s::text is null or l.stream = %(stream)s::text)
  and (%(source)s::text is null or l.source = %(source)s::text or starts_with(l.source, %(source)s::text || ':'))
  and (%(since)s::timestamptz is null or l.recorded_at >= %(since)s::timestamptz)
  and (%(until)s::timestamptz is null or l.recorded_at < %(until)s::timestamptz)
  and (%(states)s::text[] is null or l.standing = any(%(states)s::text[]))
order by l.recorded_at, l.letter_id
limit %(limit)s
