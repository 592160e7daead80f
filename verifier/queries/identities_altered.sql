-- Identities whose entry is not there, or is of another event or record.
select i.event_id, i.entry_id::text from ledger.event_identity i
where i.payload_sha256 <> decode(repeat('00', 32), 'hex')
  and not exists (
      select from ledger.entry e
      where e.activity_month = i.entry_month and e.entry_id = i.entry_id
        and e.event_id = i.event_id and e.payload_sha256 = i.payload_sha256)
order by 1
