-- Content hashes of leaves [start, end), in slices as their commits list them.
select s.first_leaf,
       substr(c.content_sha256s,
              (32 * greatest(%(start)s::bigint - s.first_leaf, 0) + 1)::int,
              (32 * (least(%(end)s::bigint, s.first_leaf + s.entries) - greatest(%(start)s::bigint, s.first_leaf)))::int)
from audit.seal_commit s
join audit.commit c using (commit_id)
where s.first_leaf < %(end)s
  and s.first_leaf >= coalesce(
      (select max(b.first_leaf) from audit.seal_commit b where b.first_leaf <= %(start)s), 0)
order by s.first_leaf
