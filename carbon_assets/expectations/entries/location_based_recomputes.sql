-- Purchased electricity by a factor without gases is quantity times figure, rounded once to twelve decimals.
with looked_at as (
    select * from {batch}
)
select stream, entry_id::text, kgco2e::text as posted, (quantity * f.kgco2e_per_unit)::text as expected
from looked_at
join factors.factor f on f.factor_id = looked_at.factor_id and f.version = looked_at.factor_version
where looked_at.formula_id = 'S2-LB' and looked_at.gas_split = 'not_available' and looked_at.unit = f.unit
  and abs(kgco2e - quantity * f.kgco2e_per_unit) > 0.0000000000005
