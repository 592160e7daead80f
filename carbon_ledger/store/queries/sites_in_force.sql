-- A statement that ends where it begins never held; one that has ended since still names the calendar.
with stated as (
    select distinct on (s.facility_id, s.valid_from)
        s.facility_id, s.organization_id, s.country_iso2, s.region, s.time_zone, s.name, s.valid_from,
        s.valid_to
    from reference.site s
    where s.valid_from <= coalesce(%(day)s::date, (now() at time zone 'UTC')::date)
    order by s.facility_id, s.valid_from, s.recorded_at desc
)
select distinct on (s.facility_id)
    s.facility_id, s.organization_id, s.country_iso2, s.region, s.time_zone, s.name, s.valid_from
from stated s
where s.valid_to is distinct from s.valid_from
order by s.facility_id, s.valid_from desc
