-- First lines of an activity's revisions that neither are reversed nor stand for a revision that was
-- superseded before it came.
select i.entry_month, i.entry_id
from ledger.event_identity i
where i.event_id >= %(first)s and i.event_id < %(last)s
  and i.payload_sha256 <> %(no_hash)s
  and exists (
      select from ledger.entry e where e.activity_month = i.entry_month and e.entry_id = i.entry_id
  )
  and not exists (select from ledger.reversal r where r.entry_id = i.entry_id)
order by i.event_id
