-- Four texts, one line per event, each event once: claims each event id that is new. In the order of
-- the ids, so that two writers with the same ids wait for each other in one direction only. Returns
-- the ids that were there already, which are few.
with event as materialized (
    select t.event_id, t.payload, t.entry_month, t.entry_id
    from unnest(
        string_to_array(%s, e'\n'), string_to_array(%s, e'\n'),
        string_to_array(%s, e'\n'), string_to_array(%s, e'\n')
    ) as t (event_id, payload, entry_month, entry_id)
),
claimed as (
    insert into ledger.event_identity (event_id, payload_sha256, entry_month, entry_id)
    select event_id, decode(payload, 'hex'), entry_month::date, entry_id::uuid
    from event
    order by event_id collate "C"
    on conflict do nothing
    returning event_id
)
select event_id from event
where not exists (select from claimed where claimed.event_id = event.event_id)
