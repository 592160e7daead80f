select e.* from ledger.entry e
where e.entry_id = %(entry_id)s and e.activity_month = any(%(months)s)
