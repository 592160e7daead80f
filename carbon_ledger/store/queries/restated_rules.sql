-- By which rules restated entries were computed; those of these ids that a restatement posted.
select l.new_entry_id, l.restatement_id, l.policy_gwp_set, l.policy_vintage_gap, l.reference_known_at
from ledger.restatement_line l
where l.new_entry_id = any(%(entry_ids)s::uuid[])
