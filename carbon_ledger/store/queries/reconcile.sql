-- Offsets: each part begins where the one before ended, the first at the first offset of the accounts, and the
-- last ends at the committed offset; an accepted truncation may stand between. Events: as many as the accounts say.
with part as (
    select
        p.topic, p.topic_incarnation, p.kafka_partition, p.start_offset, p.end_offset,
        lag(p.end_offset) over w as previous_end,
        lead(p.start_offset) over w is null as is_last
    from ledger.batch_part p
    window w as (partition by p.topic, p.topic_incarnation, p.kafka_partition order by p.start_offset)
),
seam as (
    select
        o.topic, o.topic_incarnation, o.kafka_partition,
        coalesce(p.previous_end, o.first_offset) as expected, p.start_offset as found, 'part begins' as what
    from manifest.progress o
    join part p using (topic, topic_incarnation, kafka_partition)
    union all
    select
        o.topic, o.topic_incarnation, o.kafka_partition,
        coalesce(p.end_offset, o.first_offset), o.committed_offset, 'committed offset'
    from manifest.progress o
    left join part p
        on p.topic = o.topic and p.topic_incarnation = o.topic_incarnation
        and p.kafka_partition = o.kafka_partition and p.is_last
),
stream_account as (
    select p.stream, sum(p.ledgered) as ledgered from ledger.batch_part p group by p.stream
),
stream_entry as (
    select e.stream, count(distinct e.event_id) as events
    from ledger.entry e
    where e.reverses_id is null and e.batch_id is not null
    group by e.stream
)
select
    s.what, format('%%s/%%s-%%s', s.topic, s.topic_incarnation, s.kafka_partition) as subject,
    s.expected, s.found
from seam s
where s.expected <> s.found
  and not exists (
      select from manifest.gap g
      where g.topic = s.topic and g.topic_incarnation = s.topic_incarnation
        and g.kafka_partition = s.kafka_partition and g.kind = 'topic_truncated'
        and g.resolved_at is not null and g.found_offset = s.found
  )
union all
select 'events of the stream', stream, coalesce(a.ledgered, 0)::bigint, coalesce(e.events, 0)
from stream_account a
full join stream_entry e using (stream)
where coalesce(a.ledgered, 0) <> coalesce(e.events, 0)
order by 1, 2
