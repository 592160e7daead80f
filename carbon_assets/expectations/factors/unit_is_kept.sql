-- A factor is per the same unit as in the release before.
with looked_at as (
    select * from {batch}
),
before as (
    select r.release_id
    from factors.release r
    where r.recorded_at < (select s.recorded_at from factors.release s where s.release_id = $unit)
    order by r.recorded_at desc
    limit 1
)
select looked_at.factor_id, looked_at.version, f.unit as before, looked_at.unit as now
from looked_at
join before on true
join factors.release_factor m on m.release_id = before.release_id and m.factor_id = looked_at.factor_id
join factors.factor f on f.factor_id = m.factor_id and f.version = m.version
where f.unit <> looked_at.unit
