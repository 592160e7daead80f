-- Every entry that was taken into some claims.
select e.*
from ledger.claim_entry c
join ledger.entry e on e.activity_month = c.activity_month and e.entry_id = c.entry_id
where c.claim = any(%(claims)s::text[])
order by e.recorded_at, e.entry_id
