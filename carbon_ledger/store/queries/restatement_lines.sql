select l.activity_month, l.entry_id, l.new_entry_id, l.new_event_id, l.line_no, l.delta_kgco2e, l.delta_factor_release,
       l.delta_gwp_set, l.delta_boundary, l.delta_method
from ledger.restatement_line l
where l.restatement_id = %(restatement_id)s
order by l.activity_month, l.entry_id nulls last, l.new_entry_id
limit %(limit)s
