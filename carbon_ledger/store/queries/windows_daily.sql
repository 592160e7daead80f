select
    w.organization_id, w.facility_id, w.country_iso2, null::timestamptz as window_start, w.local_date, w.scope, w.category,
    w.basis, w.activity_type, w.unit, w.quantity, w.kgco2e, w.entries, w.lines
from windows.daily w
where w.local_date >= %(start)s and w.local_date < %(end)s
  and (%(facility)s::text is null or w.facility_id = %(facility)s::text)
  and (%(organization)s::text is null or w.organization_id = %(organization)s::text)
order by w.local_date, w.organization_id, w.facility_id, w.country_iso2, w.scope, w.category, w.basis,
    w.activity_type, w.unit
