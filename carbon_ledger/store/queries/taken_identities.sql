-- One text, one event id per line: those the ledger has already.
select event_id from ledger.event_identity where event_id = any (string_to_array(%s, e'\n'))
