-- The number of the next correction of each of some activities. '#d' is the first text after everything that
-- begins with '#c': a range of the primary key.
select a.ref,
       (select coalesce(max(substr(i.event_id, length(a.ref) + 3)::integer), 0) + 1
        from ledger.event_identity i
        where i.event_id >= a.ref || '#c' and i.event_id < a.ref || '#d')
from unnest(%(refs)s::text[]) as a (ref)
