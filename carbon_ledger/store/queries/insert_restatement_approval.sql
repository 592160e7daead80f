insert into ledger.restatement_approval (restatement_id, approved_by, reason, digest)
values (%(restatement_id)s, %(approved_by)s, %(reason)s, %(digest)s)
