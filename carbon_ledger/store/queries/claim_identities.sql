-- Four texts, one line per event: claims each event id that is new; the first of several equal ones
-- wins. In the order of the ids, so that two writers with the same ids wait for each other in one
-- direction only. Returns the ids claimed.
insert into ledger.event_identity (event_id, payload_sha256, entry_month, entry_id)
select t.event_id, decode(t.payload, 'hex'), t.entry_month::date, t.entry_id::uuid
from unnest(
    string_to_array(%s, e'\n'), string_to_array(%s, e'\n'),
    string_to_array(%s, e'\n'), string_to_array(%s, e'\n')
) with ordinality as t (event_id, payload, entry_month, entry_id, n)
order by t.event_id collate "C", t.n
on conflict do nothing
returning event_id
