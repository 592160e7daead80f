-- Commits that no seal has, oldest first, each with whether all parts of its batch are in.
select c.commit_id, c.batch_id, c.entries, c.recorded_at,
       not exists (
           select from manifest.batch_range r
           where r.batch_id = c.batch_id and r.withdrawn_at is null
             and not exists (
                 select from ledger.batch_part p
                 where p.topic = r.topic and p.topic_incarnation = r.topic_incarnation
                   and p.kafka_partition = r.kafka_partition and p.start_offset = r.start_offset)) as is_whole
from audit.commit c
where c.recorded_at >= %(since)s
  and not exists (select from audit.seal_commit s where s.commit_id = c.commit_id)
order by c.recorded_at, c.commit_id
limit %(limit)s
