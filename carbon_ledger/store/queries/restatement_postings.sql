select p.activity_month, p.recorded_at, p.entries, p.delta_kgco2e, p.posted_by
from ledger.restatement_posting p
where p.restatement_id = %(restatement_id)s
order by 1
