select e.* from ledger.entry e where e.activity_month = %(activity_month)s order by e.entry_id
