-- Submissions of the activity register, newest first, each with what became of it.
select s.submission_id, s.organization_id, s.template, s.file_name, s.file_sha256, s.rows_accepted, s.rows_refused, s.submitted_by,
       s.submitted_at, d.is_approved, d.decided_by, d.reason, d.decided_at, e.delivered_at,
       coalesce((select sum(r.kgco2e) from ledger.activity_row r where r.submission_id = s.submission_id), 0) as kgco2e
from ledger.activity_submission s
left join ledger.activity_decision d on d.submission_id = s.submission_id
left join ledger.activity_delivery e on e.submission_id = s.submission_id
where (%(submission_id)s::bigint is null or s.submission_id = %(submission_id)s::bigint)
  and (%(file_sha256)s::bytea is null or s.file_sha256 = %(file_sha256)s::bytea)
  and (not %(is_unsent)s or (d.is_approved and e.delivered_at is null))
order by s.submission_id desc
limit %(limit)s
