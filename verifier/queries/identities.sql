-- How many entries have no identity, and how many identities have no entry. A row without a payload marks a
-- revision that never came: it has no entry of its own.
select count(*) filter (where i.event_id is null or i.payload_sha256 = decode(repeat('00', 32), 'hex')),
       count(*) filter (where i.entry_id = e.entry_id and i.entry_month = e.activity_month
                          and i.payload_sha256 = e.payload_sha256)
       - (select count(*) from ledger.event_identity where payload_sha256 <> decode(repeat('00', 32), 'hex'))
from ledger.entry e
left join ledger.event_identity i on i.event_id = e.event_id
