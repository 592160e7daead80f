-- Every event of an activity that the ledger took, with its first line; superseded ones never were posted.
select i.event_id, i.entry_month, i.entry_id
from ledger.event_identity i
where i.event_id >= %(activity_ref)s || '#' and i.event_id < %(activity_ref)s || '$'
  and i.payload_sha256 <> decode(repeat('00', 32), 'hex')
order by i.event_id
