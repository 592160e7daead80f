-- By which rules restated entries were computed; those of these ids that a restatement posted. A preview that
-- was not posted may have planned the same ids.
select l.new_entry_id, l.restatement_id, l.policy_gwp_set, l.policy_vintage_gap, l.reference_known_at
from ledger.restatement_line l
join ledger.restatement_posting p on p.restatement_id = l.restatement_id and p.activity_month = l.activity_month
where l.new_entry_id = any(%(entry_ids)s::uuid[])
