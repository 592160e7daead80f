-- Days whose sums are not those of the lines recorded until the end of the last segment; nothing where they agree.
select organization_id, rollup, rollup_id, local_date, sum(kgco2e), sum(entries)::bigint
from (
    select e.organization_id, r.rollup, r.rollup_id, e.local_date, r.hour_start, e.scope, e.category, e.basis,
           e.factor_release, e.kgco2e, case when e.reverses_id is null then 1 else -1 end as entries,
           case when e.reverses_id is null then 0 else 1 end as reversals,
           case when ',' || e.flags || ',' like '%,boundary\_substitute,%' then e.kgco2e else 0 end as substituted,
           case when e.reverses_id is null then abs(e.kgco2e) else -abs(e.kgco2e) end
               * coalesce(e.primary_share, 0) as from_primary,
           case when e.primary_share is null then 0 when e.reverses_id is null then abs(e.kgco2e)
                else -abs(e.kgco2e) end as with_share,
           case when e.reverses_id is null then e.occurred_from end as last_line, null::timestamptz as last_sum
    from ledger.entry e
    cross join lateral (
        select 'organization' as rollup, '' as rollup_id, null::timestamptz as hour_start
        union all
        select 'organization_hour', '', date_bin('1 hour', e.occurred_from, timestamptz '2000-01-01 00:00:00Z')
        union all
        select 'facility', e.facility_id, null
        union all
        select 'supplier', e.source_ref, null where e.stream in ('procurement', 'supplier')
    ) r
    where e.recorded_at <= (select max(recorded_until) from windows.sum_segment)
    union all
    select organization_id, rollup, rollup_id, local_date, hour_start, scope, category, basis, factor_release,
           -kgco2e, -entries, -reversals, -substituted_kgco2e, -primary_kgco2e, -with_share_kgco2e,
           null, last_event
    from windows.day_sum
) both_sides
group by organization_id, rollup, rollup_id, local_date, hour_start, scope, category, basis, factor_release
having sum(kgco2e) <> 0 or sum(entries) <> 0 or sum(reversals) <> 0 or sum(substituted) <> 0
       or sum(from_primary) <> 0 or sum(with_share) <> 0
       or max(last_line) is distinct from max(last_sum)
order by local_date, organization_id, rollup, rollup_id
