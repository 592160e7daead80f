-- When each expected source has activities within [begin, end), as one multirange.
--
-- A moment is taken for a microsecond, so that it is not empty.
with expected as (
    select * from unnest(
        %(positions)s::integer[], %(streams)s::text[], %(sources)s::text[], %(facilities)s::text[],
        %(begins)s::timestamptz[], %(ends)s::timestamptz[]
    ) as t (position, stream, source_ref, facility_id, begins, ends)
)
select x.position,
       range_agg(tstzrange(e.occurred_from, greatest(e.occurred_to, e.occurred_from + interval '1 microsecond')))
from expected x
join ledger.active_entry e
  on e.stream = x.stream and e.source_ref = x.source_ref
 and (x.facility_id is null or e.facility_id = x.facility_id)
 and e.occurred_from < x.ends
 and greatest(e.occurred_to, e.occurred_from + interval '1 microsecond') > x.begins
where e.activity_month >= %(first_month)s and e.activity_month <= %(last_month)s
group by x.position
order by x.position
