-- An entry of a batch names the release that the batch was planned with, and no older one.
with posted as (
    select stream, batch_id, factor_release, min(entry_id::text) as entry_id
    from {batch}
    where batch_id is not null and reverses_id is null and factor_release is not null
    group by 1, 2, 3
)
select p.stream, p.entry_id, p.factor_release
from posted p
where not exists (
    select from ledger.batch_part b where b.batch_id = p.batch_id and b.factor_release = p.factor_release)
