insert into ledger.period_decision (
    decision_id, organization_id, period, first_date, end_date, state_no, previous_state, state, as_of, content, digest,
    snapshot_ids, snapshot_sha256, report_ids, report_sha256, accepted, decided_by, reason
)
values (
    %(decision_id)s, %(organization_id)s, %(period)s, %(first_date)s, %(end_date)s, %(state_no)s, %(previous_state)s,
    %(state)s, %(as_of)s, %(content)s, %(digest)s, %(snapshot_ids)s::uuid[], %(snapshot_sha256)s,
    %(report_ids)s::uuid[], %(report_sha256)s, %(accepted)s::text[], %(decided_by)s, %(reason)s
)
