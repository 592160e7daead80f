-- A factor that an entry chose is in the release that the entry names; a stated figure is of no release.
with chosen as (
    select stream, factor_id, factor_version, factor_release, min(entry_id::text) as entry_id
    from {batch}
    where factor_match <> 'stated'
    group by 1, 2, 3, 4
)
select c.stream, c.entry_id, c.factor_id, c.factor_version, c.factor_release
from chosen c
where not exists (
    select from factors.release_factor r
    where r.release_id = c.factor_release and r.factor_id = c.factor_id and r.version = c.factor_version)
