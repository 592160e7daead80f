-- Where the sums of some days are not those of their lines recorded until the end of the last segment.
-- One statement, hence one snapshot. Lines are added up once by all that any of the sums tells apart.
with lines as materialized (
    select e.organization_id, e.local_date, e.facility_id, ledger.supplier_of(e.stream, e.source_ref) as supplier_id,
           date_trunc('hour', e.occurred_from at time zone 'UTC') at time zone 'UTC' as hour_start,
           e.scope, e.category, e.basis, e.factor_release, e.flags, e.reverses_id is not null as is_reversal,
           sum(e.kgco2e) as kgco2e,
           sum(abs(e.kgco2e)) filter (where e.primary_share is not null) as with_share_kgco2e,
           sum(abs(e.kgco2e) * e.primary_share) as primary_kgco2e,
           count(*) as lines,
           max(e.occurred_from) as last_event
    from ledger.entry e
    where e.local_date = any(%(days)s) and e.activity_month = any(%(months)s)
      and e.recorded_at <= (select max(recorded_until) from windows.sum_segment)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
),
both_sides as (
    select l.organization_id, l.local_date, r.rollup, r.rollup_id, r.hour_start, l.scope, l.category, l.basis,
           l.factor_release, l.kgco2e,
           case when 'boundary_substitute' = any(string_to_array(l.flags, ',')) then l.kgco2e else 0 end
               as substituted_kgco2e,
           s.sign * coalesce(l.with_share_kgco2e, 0) as with_share_kgco2e,
           s.sign * coalesce(l.primary_kgco2e, 0) as primary_kgco2e,
           s.sign * l.lines as entries,
           l.is_reversal::integer * l.lines as reversals,
           case when not l.is_reversal then l.last_event end as last_of_lines,
           null::timestamptz as last_of_sums
    from lines l
    cross join lateral (select case when l.is_reversal then -1 else 1 end as sign) s
    cross join lateral (
        values ('organization', '', null::timestamptz), ('organization_hour', '', l.hour_start),
               ('facility', l.facility_id, null), ('supplier', l.supplier_id, null)
    ) r (rollup, rollup_id, hour_start)
    where r.rollup_id is not null
    union all
    select d.organization_id, d.local_date, d.rollup, d.rollup_id, d.hour_start, d.scope, d.category, d.basis,
           d.factor_release, -d.kgco2e, -d.substituted_kgco2e, -d.with_share_kgco2e, -d.primary_kgco2e, -d.entries,
           -d.reversals, null, d.last_event
    from windows.day_sum d
    where d.local_date = any(%(days)s)
)
select local_date, rollup, rollup_id, scope, sum(kgco2e) as kgco2e, sum(entries)::bigint as entries
from both_sides
group by organization_id, local_date, rollup, rollup_id, hour_start, scope, category, basis, factor_release
having sum(kgco2e) <> 0 or sum(substituted_kgco2e) <> 0 or sum(with_share_kgco2e) <> 0 or sum(primary_kgco2e) <> 0
       or sum(entries) <> 0 or sum(reversals) <> 0 or max(last_of_lines) is distinct from max(last_of_sums)
order by local_date, rollup, rollup_id, scope
