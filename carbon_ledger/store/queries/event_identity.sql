select i.entry_id, i.entry_month, i.payload_sha256 from ledger.event_identity i where i.event_id = %(event_id)s
