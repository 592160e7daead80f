select l.entry_id, l.line_no, l.new_event_id
from ledger.restatement_line l
where l.restatement_id = %(restatement_id)s and l.activity_month = %(month)s and l.new_event_id is not null
