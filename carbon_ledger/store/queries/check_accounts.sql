-- What each batch's accounts say against the rows that are there; a side that is absent counts as zero.
with account as (
    select
        p.batch_id, sum(p.lines) as lines, sum(p.ledgered) as events,
        sum(p.dead_lettered) as dead_lettered, sum(p.quarantined) as quarantined
    from ledger.batch_part p
    where %(batch_ids)s::bigint[] is null or p.batch_id = any(%(batch_ids)s::bigint[])
    group by p.batch_id
),
entry as (
    select
        e.batch_id, count(*) as lines, count(distinct e.event_id) filter (where e.reverses_id is null) as events
    from ledger.entry e
    where e.batch_id is not null
      and (%(batch_ids)s::bigint[] is null or e.batch_id = any(%(batch_ids)s::bigint[]))
    group by e.batch_id
),
delta as (
    select d.batch_id, sum(d.lines) as lines
    from windows.five_minute_delta d
    where d.batch_id is not null
      and (%(batch_ids)s::bigint[] is null or d.batch_id = any(%(batch_ids)s::bigint[]))
    group by d.batch_id
),
letter as (
    select
        d.batch_id, count(*) filter (where d.fate = 'dead_lettered') as dead_lettered,
        count(*) filter (where d.fate = 'quarantined') as quarantined
    from ledger.dead_letter d
    where %(batch_ids)s::bigint[] is null or d.batch_id = any(%(batch_ids)s::bigint[])
    group by d.batch_id
)
select c.what, batch_id::text as subject, coalesce(c.expected, 0)::bigint as expected,
    coalesce(c.found, 0)::bigint as found
from account a
full join entry e using (batch_id)
full join delta d using (batch_id)
full join letter l using (batch_id)
cross join lateral (
    values
        ('lines of the batch', a.lines, e.lines),
        ('ledgered events of the batch', a.events, e.events),
        ('lines of the batch in windows', a.lines, d.lines),
        ('dead letters of the batch', a.dead_lettered, l.dead_lettered),
        ('quarantined records of the batch', a.quarantined, l.quarantined)
) as c (what, expected, found)
where coalesce(c.expected, 0) <> coalesce(c.found, 0)
order by batch_id, c.what
