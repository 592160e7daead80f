-- A release has between half and twice as many factors as the one before, twenty more or fewer allowed.
with before as (
    select r.factor_count
    from factors.release r
    where r.recorded_at < (select s.recorded_at from factors.release s where s.release_id = $unit)
    order by r.recorded_at desc
    limit 1
)
select b.factor_count as before, f.factors as now
from before b
cross join lateral (select count(*) as factors from {batch}) as f
where f.factors > 2 * b.factor_count + 20 or 2 * f.factors + 20 < b.factor_count
