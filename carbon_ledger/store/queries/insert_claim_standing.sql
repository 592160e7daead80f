insert into ledger.claim_standing (claim, fact_id, line_no, decided_at, revision, role, share, flags, entry_id,
    activity_month, whole_entry_id, whole_month, cause)
values (%(claim)s, %(fact_id)s, %(line_no)s, %(decided_at)s, %(revision)s, %(role)s, %(share)s, %(flags)s,
    %(entry_id)s, %(activity_month)s, %(whole_entry_id)s, %(whole_month)s, %(cause)s)
