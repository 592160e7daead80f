select exists (
    select from ledger.entry e
    where e.stream in ('procurement', 'supplier')
      and not exists (select from ledger.claim_entry c where c.entry_id = e.entry_id)
)
