-- Text, so that no number passes through JSON's floating point.
select r.file_line, r.event_id, r.event::text as event, r.kgco2e
from ledger.activity_row r
where r.submission_id = %(submission_id)s
order by r.file_line
