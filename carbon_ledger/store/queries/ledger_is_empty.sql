select not exists (select from ledger.entry) and not exists (select from ledger.batch_part)
   and not exists (select from manifest.batch)
