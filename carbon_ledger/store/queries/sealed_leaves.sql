-- The ids of the entries that are leaves (after, after + limit] of the tree, commit by commit in their order.
select greatest(s.first_leaf, %(after)s::bigint) as leaf,
       substr(c.entry_ids,
              16 * greatest(%(after)s::bigint - s.first_leaf, 0)::integer + 1,
              16 * (least(s.first_leaf + s.entries, %(after)s::bigint + %(limit)s::bigint)
                    - greatest(s.first_leaf, %(after)s::bigint))::integer) as entry_ids
from audit.seal_commit s
join audit.commit c using (commit_id)
where s.first_leaf >= coalesce(
          (select max(b.first_leaf) from audit.seal_commit b where b.first_leaf <= %(after)s::bigint), 0)
  and s.first_leaf < %(after)s::bigint + %(limit)s::bigint
  and s.first_leaf + s.entries > %(after)s::bigint
order by s.first_leaf
