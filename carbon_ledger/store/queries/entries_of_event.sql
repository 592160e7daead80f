-- A reversal lies in the month of what it reverses and bears the same event_id.
select e.*
from ledger.event_identity i
join ledger.entry e on e.activity_month = i.entry_month and e.event_id = i.event_id
where i.event_id = %(event_id)s
order by e.recorded_at, e.line_no, e.entry_id
