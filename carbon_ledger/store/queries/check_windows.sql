-- Windows against entries, series by series; a side that is absent counts as zero.
with both_sides as (
    select
        e.organization_id, e.facility_id, e.country_iso2,
        date_bin('5 minutes', e.occurred_from, timestamptz '2000-01-01 00:00:00Z') as window_start,
        e.local_date, e.scope, e.category, e.basis, e.activity_type, e.unit,
        e.quantity as entry_quantity, e.kgco2e as entry_kgco2e,
        case when e.reverses_id is null then 1 else -1 end as entry_count, 1 as entry_lines,
        0 as window_quantity, 0 as window_kgco2e, 0 as window_count, 0 as window_lines
    from ledger.entry e
    where e.local_date = any(%(local_dates)s::date[])
      and e.activity_month = any(
          select distinct date_trunc('month', d)::date from unnest(%(local_dates)s::date[]) as d)
    union all
    select
        d.organization_id, d.facility_id, d.country_iso2, d.window_start, d.local_date, d.scope,
        d.category, d.basis, d.activity_type, d.unit,
        0, 0, 0, 0, d.quantity, d.kgco2e, d.entries, d.lines
    from windows.five_minute_delta d
    where d.local_date = any(%(local_dates)s::date[])
)
select
    organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
    activity_type, unit,
    sum(entry_quantity) as entry_quantity, sum(window_quantity) as window_quantity,
    sum(entry_kgco2e) as entry_kgco2e, sum(window_kgco2e) as window_kgco2e,
    sum(entry_count)::bigint as entry_count, sum(window_count)::bigint as window_count,
    sum(entry_lines)::bigint as entry_lines, sum(window_lines)::bigint as window_lines
from both_sides
group by organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
    activity_type, unit
having sum(entry_quantity) <> sum(window_quantity)
    or sum(entry_kgco2e) <> sum(window_kgco2e)
    or sum(entry_count) <> sum(window_count)
    or sum(entry_lines) <> sum(window_lines)
order by local_date, window_start, organization_id, facility_id
limit %(limit)s
