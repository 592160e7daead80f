-- Purchased electricity is in the unit that its factor is per.
with looked_at as (
    select * from {batch}
)
select stream, entry_id::text, looked_at.unit as posted, f.unit as expected
from looked_at
join factors.factor f on f.factor_id = looked_at.factor_id and f.version = looked_at.factor_version
where looked_at.formula_id = 'S2-LB' and looked_at.unit <> f.unit
