-- A factor's figure is between a third and three times that of the release before.
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
select looked_at.factor_id, looked_at.version, f.kgco2e_per_unit::text as before, looked_at.kgco2e_per_unit::text as now
from looked_at
join before on true
join factors.release_factor m on m.release_id = before.release_id and m.factor_id = looked_at.factor_id
join factors.factor f on f.factor_id = m.factor_id and f.version = m.version
where f.unit = looked_at.unit and f.kgco2e_per_unit > 0
  and (looked_at.kgco2e_per_unit > 3 * f.kgco2e_per_unit or 3 * looked_at.kgco2e_per_unit < f.kgco2e_per_unit)
