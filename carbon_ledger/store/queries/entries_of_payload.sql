-- The entries of an event that was posted from these bytes, asked of the entries alone: ids begin with the moment that
-- a line's activity ended, which lies within the event's own.
select e.*
from ledger.entry e
where e.activity_month >= %(first_month)s and e.activity_month <= %(last_month)s
  and e.entry_id >= %(first_id)s and e.entry_id <= %(last_id)s
  and e.event_id = %(event_id)s
  and e.payload_sha256 = %(payload_sha256)s
order by e.activity_month, e.line_no
