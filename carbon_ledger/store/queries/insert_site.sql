-- Not now(), which stands still in a transaction: two statements in one must stay in order.
insert into reference.site (
    facility_id, organization_id, country_iso2, region, time_zone, name, valid_from, recorded_at
)
values (
    %(facility_id)s, %(organization_id)s, %(country_iso2)s, %(region)s, %(time_zone)s, %(name)s,
    %(valid_from)s, clock_timestamp()
)
