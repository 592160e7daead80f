select e.*
from ledger.active_entry e
where e.stream = 'period_postings'
  and e.activity_month >= %(begin)s and e.activity_month < %(end)s
order by e.activity_ref, e.line_no, e.entry_id
