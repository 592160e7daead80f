-- An entry that takes another back is its exact negative.
with reversal as (
    select stream, entry_id, activity_month, reverses_id, kgco2e, quantity from {batch} where reverses_id is not null
)
select r.stream, r.entry_id::text, r.reverses_id::text
from reversal r
left join ledger.entry e on e.activity_month = r.activity_month and e.entry_id = r.reverses_id
where e.kgco2e + r.kgco2e is distinct from 0 or e.quantity + r.quantity is distinct from 0
