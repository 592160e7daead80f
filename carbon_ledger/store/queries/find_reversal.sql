select r.reversal_entry_id, r.recorded_at from ledger.reversal r where r.entry_id = %(entry_id)s
