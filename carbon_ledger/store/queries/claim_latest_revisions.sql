-- The newest revision that was posted of each of some activities: its number, its first line.
select distinct on (a.ref) a.ref, substr(i.event_id, length(a.ref) + 2)::integer as revision, i.entry_month, i.entry_id
from unnest(%(refs)s::text[]) as a (ref)
join ledger.event_identity i
    on i.event_id >= a.ref || '#' and i.event_id < a.ref || '$'
    and i.payload_sha256 <> decode(repeat('00', 32), 'hex')
    and substr(i.event_id, length(a.ref) + 2) ~ '^[0-9]+$'
order by a.ref, revision desc
