insert into ledger.period_basis (payload_sha256, organization_id, basis_text, recorded_at)
values (%(payload_sha256)s, %(organization_id)s, %(basis_text)s, %(recorded_at)s)
on conflict (payload_sha256) do nothing
