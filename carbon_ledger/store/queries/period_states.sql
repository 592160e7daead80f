-- Every state that periods had, in order, with the decision it rests on; each parameter that is null asks for any.
select s.organization_id, s.period, d.first_date, d.end_date, s.state_no, s.previous_state, s.state, s.decision_id,
       d.as_of, d.content, d.digest, d.snapshot_ids, d.snapshot_sha256, d.report_ids, d.report_sha256,
       d.accepted, d.decided_by, d.reason,
       d.decided_at, s.approved_by, s.approval_reason, s.recorded_at
from ledger.period_state s
join ledger.period_decision d using (decision_id)
where (%(organization)s::text is null or s.organization_id = %(organization)s::text)
  and (%(period)s::text is null or s.period = %(period)s::text)
order by s.organization_id, d.first_date, d.end_date, s.state_no
