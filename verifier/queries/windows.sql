-- What entries have more than their windows; nothing where they agree. A side that is absent counts as zero.
select organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
       activity_type, unit, sum(quantity), sum(kgco2e), sum(entries), sum(lines)
from (
    select organization_id, facility_id, country_iso2,
           date_bin('5 minutes', occurred_from, timestamptz '2000-01-01 00:00:00Z') as window_start,
           local_date, scope, category, basis, activity_type, unit, quantity, kgco2e,
           case when reverses_id is null then 1 else -1 end as entries, 1 as lines
    from ledger.entry
    union all
    select organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
           activity_type, unit, -quantity, -kgco2e, -entries, -lines
    from windows.five_minute_delta
) both_sides
group by organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
         activity_type, unit
having sum(quantity) <> 0 or sum(kgco2e) <> 0 or sum(entries) <> 0 or sum(lines) <> 0
order by local_date, window_start, organization_id, facility_id, activity_type
