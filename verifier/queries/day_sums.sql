-- Days whose sums are not those of the lines recorded until the end of the last segment; nothing where they agree.
-- Lines are added up once by everything that any of the sums tells apart, and the few sums of that in each way.
with lines as materialized (
    select organization_id, facility_id, case when stream in ('procurement', 'supplier') then source_ref end as supplier,
           local_date, date_bin('1 hour', occurred_from, timestamptz '2000-01-01 00:00:00Z') as hour_start, scope,
           category, basis, factor_release,
           sum(kgco2e) as kgco2e,
           sum(case when reverses_id is null then 1 else -1 end) as entries,
           sum(case when reverses_id is null then 0 else 1 end) as reversals,
           sum(case when ',' || flags || ',' like '%,boundary\_substitute,%' then kgco2e else 0 end) as substituted,
           sum(case when reverses_id is null then abs(kgco2e) else -abs(kgco2e) end * coalesce(primary_share, 0))
               as from_primary,
           sum(case when primary_share is null then 0 when reverses_id is null then abs(kgco2e)
                    else -abs(kgco2e) end) as with_share,
           max(case when reverses_id is null then occurred_from end) as last_line
    from ledger.entry
    where recorded_at <= (select max(recorded_until) from windows.sum_segment)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
)
select organization_id, rollup, rollup_id, local_date, sum(kgco2e), sum(entries)::bigint
from (
    select organization_id, 'organization' as rollup, '' as rollup_id, local_date, null::timestamptz as hour_start,
           scope, category, basis, factor_release, kgco2e, entries, reversals, substituted, from_primary, with_share,
           last_line, null::timestamptz as last_sum
    from lines
    union all
    select organization_id, 'organization_hour', '', local_date, hour_start, scope, category, basis, factor_release,
           kgco2e, entries, reversals, substituted, from_primary, with_share, last_line, null
    from lines
    union all
    select organization_id, 'facility', facility_id, local_date, null, scope, category, basis, factor_release, kgco2e,
           entries, reversals, substituted, from_primary, with_share, last_line, null
    from lines
    union all
    select organization_id, 'supplier', supplier, local_date, null, scope, category, basis, factor_release, kgco2e,
           entries, reversals, substituted, from_primary, with_share, last_line, null
    from lines where supplier is not null
    union all
    select organization_id, rollup, rollup_id, local_date, hour_start, scope, category, basis, factor_release,
           -kgco2e, -entries, -reversals, -substituted_kgco2e, -primary_kgco2e, -with_share_kgco2e, null, last_event
    from windows.day_sum
) both_sides
group by organization_id, rollup, rollup_id, local_date, hour_start, scope, category, basis, factor_release
having sum(kgco2e) <> 0 or sum(entries) <> 0 or sum(reversals) <> 0 or sum(substituted) <> 0
       or sum(from_primary) <> 0 or sum(with_share) <> 0 or max(last_line) is distinct from max(last_sum)
order by local_date, organization_id, rollup, rollup_id
