-- Compares the windows of some days with the entries they sum, and adds what is missing or takes off what is
-- too much. One statement, hence one snapshot: entries and deltas of a commit are both seen or neither.
with expected as (
    select e.organization_id, e.facility_id, e.country_iso2,
           to_timestamp(floor(extract(epoch from e.occurred_from) / 300) * 300) as window_start,
           e.local_date, e.scope, e.category, e.basis, e.activity_type, e.unit,
           sum(e.quantity) as quantity, sum(e.kgco2e) as kgco2e,
           sum(case when e.reverses_id is null then 1 else -1 end) as entries, count(*) as lines
    from ledger.entry e
    where e.local_date = any(%(days)s) and e.activity_month = any(%(months)s)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
),
found as (
    select d.organization_id, d.facility_id, d.country_iso2, d.window_start, d.local_date, d.scope, d.category,
           d.basis, d.activity_type, d.unit,
           sum(d.quantity) as quantity, sum(d.kgco2e) as kgco2e, sum(d.entries) as entries, sum(d.lines) as lines
    from windows.five_minute_delta d
    where d.local_date = any(%(days)s)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
),
signed as (
    select *, 1 as sign from expected
    union all
    select *, -1 as sign from found
),
difference as (
    select organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
           activity_type, unit, sum(sign * quantity) as quantity, sum(sign * kgco2e) as kgco2e,
           sum(sign * entries) as entries, sum(sign * lines) as lines
    from signed
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    having sum(sign * quantity) <> 0 or sum(sign * kgco2e) <> 0 or sum(sign * entries) <> 0
           or sum(sign * lines) <> 0
),
corrected as (
    insert into windows.five_minute_delta (
        organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
        activity_type, unit, quantity, kgco2e, entries, lines, recorded_at)
    select organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
           activity_type, unit, quantity, kgco2e, entries, lines, clock_timestamp()
    from difference
    where %(correct)s
    returning 1
)
select day.local_date,
       (select count(*) from expected e where e.local_date = day.local_date) as series,
       (select coalesce(sum(e.lines), 0) from expected e where e.local_date = day.local_date)::bigint as lines,
       (select coalesce(sum(e.kgco2e), 0) from expected e where e.local_date = day.local_date) as kgco2e,
       (select count(*) from difference d where d.local_date = day.local_date) as series_different,
       (select count(*) from corrected) as corrected
from unnest(%(days)s::date[]) as day (local_date)
order by day.local_date
