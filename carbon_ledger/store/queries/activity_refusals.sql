select r.file_line, r.code, r.message, r.field, r.value, r.valid
from ledger.activity_refusal r
where r.submission_id = %(submission_id)s
order by r.file_line
