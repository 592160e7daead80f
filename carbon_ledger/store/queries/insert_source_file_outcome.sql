insert into ledger.source_file_outcome
    (supplier_id, sha256, name, fate, reason_code, reason, rows_accepted, rows_rejected, kept_at, receipt)
values
    (%(supplier_id)s, %(sha256)s, %(name)s, %(fate)s, %(reason_code)s, %(reason)s, %(rows_accepted)s,
     %(rows_rejected)s, %(kept_at)s, %(receipt)s)
on conflict (supplier_id, sha256, name) do nothing
