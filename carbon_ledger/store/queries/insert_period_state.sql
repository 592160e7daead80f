insert into ledger.period_state (
    organization_id, period, state_no, previous_state, state, decision_id, decided_by, approved_by, approval_reason
)
values (
    %(organization_id)s, %(period)s, %(state_no)s, %(previous_state)s, %(state)s, %(decision_id)s, %(decided_by)s,
    %(approved_by)s, %(approval_reason)s
)
