-- Whether a commit can be sealed, or a place has not got the latest head.
select exists (
    select from audit.commit c
    where c.recorded_at >= %(since)s
      and not exists (select from audit.seal_commit s where s.commit_id = c.commit_id)
      and not exists (
          select from manifest.batch_range r
          where r.batch_id = c.batch_id and r.withdrawn_at is null
            and not exists (
                select from ledger.batch_part p
                where p.topic = r.topic and p.topic_incarnation = r.topic_incarnation
                  and p.kafka_partition = r.kafka_partition and p.start_offset = r.start_offset))
) or exists (
    select from unnest(%(places)s::text[]) as w (place)
    where (select max(h.tree_size) from audit.head h)
          > coalesce((select max(p.tree_size) from audit.head_publication p where p.place = w.place), 0)
)
