-- The windows an entry is in, as they are now: five minutes, and the day.
select 'five_minutes' as window, w.window_start::text as starts, w.quantity, w.kgco2e, w.entries
from windows.five_minute w
where w.organization_id = %(organization_id)s and w.facility_id = %(facility_id)s and w.local_date = %(local_date)s
  and w.scope = %(scope)s and w.category is not distinct from %(category)s and w.basis = %(basis)s
  and w.activity_type = %(activity_type)s and w.unit = %(unit)s and w.country_iso2 = %(country_iso2)s
  and w.window_start = date_bin('5 minutes', %(occurred_from)s::timestamptz, timestamptz '2000-01-01 00:00:00Z')
union all
select 'day', d.local_date::text, d.quantity, d.kgco2e, d.entries
from windows.daily d
where d.organization_id = %(organization_id)s and d.facility_id = %(facility_id)s and d.local_date = %(local_date)s
  and d.scope = %(scope)s and d.category is not distinct from %(category)s and d.basis = %(basis)s
  and d.activity_type = %(activity_type)s and d.unit = %(unit)s and d.country_iso2 = %(country_iso2)s
