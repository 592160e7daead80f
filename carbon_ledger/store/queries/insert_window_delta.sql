insert into windows.five_minute_delta (
    organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
    activity_type, unit, quantity, kgco2e, entries, lines, batch_id, recorded_at
)
values (
    %(organization_id)s, %(facility_id)s, %(country_iso2)s, %(window_start)s, %(local_date)s, %(scope)s,
    %(category)s, %(basis)s, %(activity_type)s, %(unit)s, %(quantity)s, %(kgco2e)s, %(entries)s, %(lines)s,
    %(batch_id)s, %(recorded_at)s
)
