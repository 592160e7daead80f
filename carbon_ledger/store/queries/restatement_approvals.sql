select a.approved_by, a.reason, a.approved_at
from ledger.restatement_approval a
where a.restatement_id = %(restatement_id)s
order by a.approved_at
