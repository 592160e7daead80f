-- Every line of an activity's revisions and corrections that stands: no reversal, not reversed, and not of
-- a revision that was superseded before it came. An event's first line is found by its identity, its later
-- ones by the index that holds nothing but later lines.
with revision as materialized (
    select i.event_id, i.entry_month, i.entry_id
    from ledger.event_identity i
    where i.event_id >= %(first)s and i.event_id < %(last)s
      and i.payload_sha256 <> %(no_hash)s
),
line as (
    select e.activity_month, e.entry_id
    from revision
    join ledger.entry e on e.activity_month = revision.entry_month and e.entry_id = revision.entry_id
    union
    select e.activity_month, e.entry_id
    from revision
    join ledger.entry e on e.event_id = revision.event_id and e.line_no > 1 and e.reverses_id is null
)
select activity_month, entry_id
from line
where not exists (select from ledger.reversal r where r.entry_id = line.entry_id)
order by entry_id
