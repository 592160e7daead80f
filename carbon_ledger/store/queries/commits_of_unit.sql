-- What one seal is of: a batch, in the order of its partitions, or a commit of no batch.
select c.commit_id, c.entries, c.content_sha256s
from audit.commit c
where (c.batch_id = %(batch_id)s or (%(batch_id)s::bigint is null and c.commit_id = %(commit_id)s))
  and not exists (select from audit.seal_commit s where s.commit_id = c.commit_id)
order by c.topic, c.topic_incarnation, c.kafka_partition, c.start_offset, c.commit_id
