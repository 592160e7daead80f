with waiting as (
    select c.entries, c.recorded_at
    from audit.commit c
    where not exists (select from audit.seal_commit s where s.commit_id = c.commit_id)
), inside as (
    select h.signed_at
    from audit.head h
    where h.tree_size > coalesce((select max(p.tree_size) from audit.head_publication p), 0)
)
select (select count(*) from waiting) as unsealed_commits,
       (select coalesce(sum(entries), 0) from waiting) as unsealed_entries,
       (select min(recorded_at) from waiting) as oldest_unsealed,
       (select count(*) from inside) as unpublished_heads,
       (select min(signed_at) from inside) as oldest_unpublished
