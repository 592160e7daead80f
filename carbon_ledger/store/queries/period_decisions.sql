-- Decisions that wait for a second person: no state rests on them, and the state they follow still holds.
select d.decision_id, d.organization_id, d.period, d.first_date, d.end_date, d.state_no, d.previous_state, d.state,
       d.as_of, d.content, d.digest, d.snapshot_ids, d.snapshot_sha256, d.report_ids, d.report_sha256,
       d.accepted, d.decided_by, d.reason, d.decided_at
from ledger.period_decision d
where d.state_no = 1 + coalesce((
        select max(s.state_no) from ledger.period_state s
        where s.organization_id = d.organization_id and s.period = d.period), 0)
order by d.decision_id
