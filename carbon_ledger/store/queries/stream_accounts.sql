-- One statement, hence one snapshot: counts, offsets, open batch and gaps of a stream fit together.
select
    s.stream,
    s.topic,
    s.topic_id,
    s.topic_incarnation,
    s.halted_reason,
    s.halted_at,
    coalesce(a.records_read, 0)::bigint           as read,
    coalesce(a.ledgered, 0)::bigint               as ledgered,
    coalesce(a.duplicate, 0)::bigint              as duplicate,
    coalesce(a.dead_lettered, 0)::bigint          as dead_lettered,
    coalesce(a.quarantined, 0)::bigint            as quarantined,
    coalesce(a.lines, 0)::bigint                  as lines,
    coalesce(a.offsets_without_record, 0)::bigint as offsets_without_record,
    a.last_committed_at,
    coalesce(l.letters, 0)::bigint                as letters_to_relay,
    p.partitions,
    b.batch_id,
    b.status                                      as batch_status,
    b.attempt,
    b.failures,
    b.arrival_partition,
    b.run_id,
    b.error,
    b.lease_until,
    g.gaps
from manifest.stream s
left join lateral (
    select
        sum(x.records_read) as records_read, sum(x.ledgered) as ledgered, sum(x.duplicate) as duplicate,
        sum(x.dead_lettered) as dead_lettered, sum(x.quarantined) as quarantined, sum(x.lines) as lines,
        sum(x.offsets_without_record) as offsets_without_record, max(x.recorded_at) as last_committed_at
    from ledger.batch_part x
    where x.stream = s.stream
) a on true
left join lateral (
    select count(*) as letters
    from ledger.dead_letter d
    where d.stream = s.stream
      and not exists (
          select from ledger.dead_letter_relay r
          where r.topic = d.topic and r.topic_incarnation = d.topic_incarnation
            and r.kafka_partition = d.kafka_partition and r.kafka_offset = d.kafka_offset
      )
) l on true
left join lateral (
    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'kafka_partition', o.kafka_partition, 'first_offset', o.first_offset,
                'planned_offset', o.planned_offset, 'committed_offset', o.committed_offset
            )
            order by o.kafka_partition
        ), '[]') as partitions
    from manifest.progress o
    where o.topic = s.topic and o.topic_incarnation = s.topic_incarnation
) p on true
left join lateral (
    select c.batch_id, c.status, c.attempt, c.failures, c.arrival_partition, c.run_id, c.error, t.lease_until
    from manifest.batch c
    left join manifest.lease t on t.batch_id = c.batch_id and t.attempt = c.attempt
    where c.stream = s.stream and c.status in ('planned', 'running', 'dead')
) b on true
left join lateral (
    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'gap_id', n.gap_id, 'kind', n.kind, 'kafka_partition', n.kafka_partition,
                'expected_offset', n.expected_offset, 'found_offset', n.found_offset, 'detail', n.detail
            )
            order by n.gap_id
        ), '[]') as gaps
    from manifest.gap n
    where n.stream = s.stream and n.resolved_at is null
) g on true
order by s.stream
