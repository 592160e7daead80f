select r.entry_id, r.reversal_entry_id, r.activity_month, r.recorded_at
from ledger.reversal r where r.entry_id = any(%(entry_ids)s::uuid[])
