-- '#d' is the first text after everything that begins with '#c': a range of the primary key.
select coalesce(max(substr(i.event_id, length(%(activity_ref)s::text) + 3)::integer), 0) + 1
from ledger.event_identity i
where i.event_id >= %(activity_ref)s || '#c' and i.event_id < %(activity_ref)s || '#d'
