-- Hours of recording (UTC) that are over, have a commit and come after the last one that was looked at. A closed
-- hour gains nothing: every writer stamps its entries with a moment after the horizon.
with since as (
    select coalesce(max(v.unit)::timestamptz + interval '1 hour', timestamptz '-infinity') as first_hour
    from audit.validation v
    where v.suite = %(suite)s
),
hour as (
    select distinct date_trunc('hour', c.recorded_at, 'UTC') as first
    from audit.commit c, since
    where c.recorded_at >= since.first_hour
      and c.recorded_at < date_trunc('hour', %(horizon)s::timestamptz, 'UTC')
)
select u.unit,
       jsonb_build_object(
           'unit', u.unit,
           'hour_start', u.unit,
           'hour_end', to_char((h.first + interval '1 hour') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"')) as parameters
from hour h
cross join lateral (values (to_char(h.first at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'))) as u (unit)
order by h.first
