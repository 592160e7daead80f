insert into ledger.activity_decision (submission_id, is_approved, decided_by, reason)
values (%(submission_id)s, %(is_approved)s, %(decided_by)s, %(reason)s)
on conflict (submission_id) do nothing
