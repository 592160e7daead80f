-- The oldest entries of the two streams that no claim has taken, whole commits of them: a reversal comes with
-- what replaces it.
select e.*
from ledger.entry e
where e.stream in ('procurement', 'supplier')
  and not exists (select from ledger.claim_entry c where c.entry_id = e.entry_id)
order by e.recorded_at
fetch first %(limit)s rows with ties
