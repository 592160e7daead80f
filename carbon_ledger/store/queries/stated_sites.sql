select distinct on (s.facility_id, s.valid_from)
    s.facility_id, s.organization_id, s.country_iso2, s.region, s.time_zone, s.name, s.valid_from
from reference.site s
order by s.facility_id, s.valid_from, s.recorded_at desc
