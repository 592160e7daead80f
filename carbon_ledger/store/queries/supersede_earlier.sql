-- Marks revisions before this one that never arrived as superseded.
insert into ledger.event_identity (event_id, payload_sha256, entry_month, entry_id)
select %(ref)s || '#' || n, %(no_hash)s, %(month)s, %(entry_id)s
from generate_series(0, %(revision)s - 1) as n
on conflict do nothing
