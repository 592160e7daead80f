-- In which claim each of some entries was taken, null for none.
select c.entry_id, c.claim from ledger.claim_entry c where c.entry_id = any(%(entry_ids)s::uuid[])
