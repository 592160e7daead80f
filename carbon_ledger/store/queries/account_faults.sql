-- What is wrong with the accounts of batches that are done.
with claimed as (
    select r.*
    from manifest.batch_range r
    join manifest.batch b using (batch_id)
    where b.batch_id = any(%(batches)s) and b.status = 'done' and r.withdrawn_at is null
),
letters as (
    select p.batch_id, p.kafka_partition, p.dead_lettered, p.quarantined,
           (select count(*) from ledger.dead_letter d
            where d.topic = p.topic and d.topic_incarnation = p.topic_incarnation
              and d.kafka_partition = p.kafka_partition
              and d.kafka_offset >= p.start_offset and d.kafka_offset < p.end_offset
              and d.fate = 'dead_lettered') as letters_dead,
           (select count(*) from ledger.dead_letter d
            where d.topic = p.topic and d.topic_incarnation = p.topic_incarnation
              and d.kafka_partition = p.kafka_partition
              and d.kafka_offset >= p.start_offset and d.kafka_offset < p.end_offset
              and d.fate = 'quarantined') as letters_quarantined
    from ledger.batch_part p
    where p.batch_id = any(%(batches)s)
)
select format('batch %%s: partition %%s, offsets [%%s, %%s) are claimed and have no account', c.batch_id,
              c.kafka_partition, c.start_offset, c.end_offset) as what
from claimed c
where not exists (
    select from ledger.batch_part p
    where p.batch_id = c.batch_id and p.topic = c.topic and p.topic_incarnation = c.topic_incarnation
      and p.kafka_partition = c.kafka_partition and p.start_offset = c.start_offset and p.end_offset = c.end_offset)
union all
select format('batch %%s: partition %%s has an account of [%%s, %%s), which it did not claim', p.batch_id,
              p.kafka_partition, p.start_offset, p.end_offset)
from ledger.batch_part p
where p.batch_id = any(%(batches)s)
  and not exists (
    select from manifest.batch_range r
    where r.batch_id = p.batch_id and p.topic = r.topic and p.topic_incarnation = r.topic_incarnation
      and p.kafka_partition = r.kafka_partition and p.start_offset = r.start_offset and p.end_offset = r.end_offset
      and r.withdrawn_at is null)
union all
select format('batch %%s: partition %%s read %%s records, but its fates add up to %%s', p.batch_id, p.kafka_partition,
              p.records_read, p.ledgered + p.duplicate + p.dead_lettered + p.quarantined)
from ledger.batch_part p
where p.batch_id = any(%(batches)s)
  and p.records_read <> p.ledgered + p.duplicate + p.dead_lettered + p.quarantined
union all
select format('batch %%s: partition %%s accounts for %%s dead letters and %%s quarantined, kept are %%s and %%s',
              l.batch_id, l.kafka_partition, l.dead_lettered, l.quarantined, l.letters_dead, l.letters_quarantined)
from letters l
where (l.dead_lettered, l.quarantined) <> (l.letters_dead, l.letters_quarantined)
order by 1
limit 100
