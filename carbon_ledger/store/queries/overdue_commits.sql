-- Commits that no seal has although they were recorded more than so long ago, by the database's clock. Those whose
-- transaction is over alone are seen.
select count(*) as commits, coalesce(sum(c.entries), 0)::bigint as entries, min(c.recorded_at) as oldest,
       coalesce(array_agg(distinct c.batch_id order by c.batch_id) filter (where c.batch_id is not null), '{}')
           as batch_ids
from audit.commit c
where c.recorded_at < clock_timestamp() - %(within)s
  and not exists (select from audit.seal_commit s where s.commit_id = c.commit_id)
