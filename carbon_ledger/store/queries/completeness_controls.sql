-- What the ledger has beside each control total: quantity by unit, and of how many activities.
--
-- An activity may post several lines of one quantity (by scope, category or basis): of each unit only those of
-- its first claim are taken.
with control as (
    select * from unnest(
        %(positions)s::integer[], %(streams)s::text[], %(sources)s::text[], %(facilities)s::text[],
        %(organizations)s::text[], %(activity_types)s::text[], %(firsts)s::date[], %(ends)s::date[]
    ) as t (position, stream, source_ref, facility_id, organization_id, activity_type, first_date, end_date)
), line as (
    select c.position, e.activity_ref, e.unit, e.quantity, e.claim_key,
           first_value(e.claim_key) over (
               partition by c.position, e.activity_ref, e.unit order by e.line_no, e.claim_key) as first_claim
    from control c
    join ledger.active_entry e
      on e.stream = c.stream and e.local_date >= c.first_date and e.local_date < c.end_date
     and (c.source_ref is null or e.source_ref = c.source_ref)
     and (c.facility_id is null or e.facility_id = c.facility_id)
     and (c.organization_id is null or e.organization_id = c.organization_id)
     and (c.activity_type is null or e.activity_type = c.activity_type)
    where e.activity_month >= %(first_month)s and e.activity_month <= %(last_month)s
)
select l.position, l.unit, sum(l.quantity), count(distinct l.activity_ref)
from line l
where l.claim_key = l.first_claim
group by l.position, l.unit
order by l.position, l.unit
