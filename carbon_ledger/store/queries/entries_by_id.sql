-- Entries whose month is not known: an index of each month is asked.
select e.* from ledger.entry e where e.entry_id = any(%(entry_ids)s::uuid[]) order by e.activity_month, e.entry_id
