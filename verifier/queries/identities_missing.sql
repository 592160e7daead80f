-- Entries whose event is not in the list of events, or stands there as one that never came.
select e.event_id, e.entry_id::text from ledger.entry e
where not exists (
    select from ledger.event_identity i
    where i.event_id = e.event_id and i.payload_sha256 <> decode(repeat('00', 32), 'hex'))
order by 1, 2
