-- Entries that are reversals against the list of reversals; what is on one side only, or differs.
select coalesce(r.reversal_entry_id, b.entry_id)::text, r.entry_id::text, b.reverses_id::text,
       b.entry_id is null, r.entry_id is null
from ledger.reversal r
full join (select entry_id, activity_month, reverses_id, recorded_at
           from ledger.entry where reverses_id is not null) b
    on b.entry_id = r.reversal_entry_id and b.activity_month = r.activity_month
where b.entry_id is null or r.entry_id is null or b.reverses_id <> r.entry_id
   or b.recorded_at <> r.recorded_at
order by 1
