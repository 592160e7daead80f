select m.entries, m.delta_kgco2e, m.digest,
       exists (
           select from ledger.restatement_posting p
           where p.restatement_id = m.restatement_id and p.activity_month = m.activity_month) as is_posted
from ledger.restatement_month m
where m.restatement_id = %(restatement_id)s and m.activity_month = %(month)s
