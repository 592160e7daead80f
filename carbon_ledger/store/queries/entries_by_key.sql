-- The entries of these months and ids, those that there are.
select e.*
from unnest(%(months)s::date[], %(entry_ids)s::uuid[]) as t (activity_month, entry_id)
join ledger.entry e on e.activity_month = t.activity_month and e.entry_id = t.entry_id
