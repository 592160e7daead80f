select distinct on (s.facility_id)
    s.facility_id, s.organization_id, s.country_iso2, s.region, s.time_zone, s.name, s.valid_from
from reference.site s
where s.valid_from <= coalesce(%(day)s::date, (now() at time zone 'UTC')::date)
order by s.facility_id, s.valid_from desc, s.recorded_at desc
