-- Five texts, one line per event as today's rules see it: how it stands to what the ledger has.
select t.event_id,
       case
           when i.event_id is null then 'would_post'
           when i.payload_sha256 <> decode(t.payload, 'hex') then 'differ_payload'
           when e.kgco2e is distinct from t.kgco2e::numeric then 'differ_figure'
           else 'known'
       end as standing,
       e.kgco2e, t.kgco2e::numeric
from unnest(
    string_to_array(%s, e'\n'), string_to_array(%s, e'\n'), string_to_array(%s, e'\n')
) as t (event_id, payload, kgco2e)
left join ledger.event_identity i on i.event_id = t.event_id
left join ledger.entry e on e.activity_month = i.entry_month and e.entry_id = i.entry_id
