select e.* from ledger.entry e
where e.activity_month = %(activity_month)s and e.entry_id = %(entry_id)s
