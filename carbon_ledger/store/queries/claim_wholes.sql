-- Of entries that are shares of a figure, the entries that have it whole.
select distinct s.entry_id, s.whole_entry_id, s.whole_month
from ledger.claim_standing s
where s.entry_id = any(%(entry_ids)s::uuid[])
