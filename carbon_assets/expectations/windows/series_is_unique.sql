-- One row for each series and window. GROUP BY, which takes two nulls for the same, as the library's own does not.
select activity_type, window_start::text, count(*) as times
from {batch}
group by organization_id, facility_id, country_iso2, window_start, scope, category, basis, activity_type, unit
having count(*) > 1
