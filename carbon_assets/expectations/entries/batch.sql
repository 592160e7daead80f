select * from ledger.entry where recorded_at >= $hour_start and recorded_at < $hour_end
