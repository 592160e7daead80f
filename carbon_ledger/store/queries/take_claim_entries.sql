insert into ledger.claim_entry (entry_id, activity_month, claim, taken_at)
select t.entry_id, t.activity_month, t.claim, %(taken_at)s
from unnest(%(entry_ids)s::uuid[], %(months)s::date[], %(claims)s::text[]) as t (entry_id, activity_month, claim)
