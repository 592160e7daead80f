insert into ledger.event_identity (event_id, payload_sha256, entry_month, entry_id)
values (%(event_id)s, %(payload_sha256)s, %(entry_month)s, %(entry_id)s)
