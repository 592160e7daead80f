-- Where the sums of some days are not those of their lines recorded until the end of the last segment.
-- One statement, hence one snapshot.
with expected as (
    select e.organization_id, e.local_date, r.rollup, r.rollup_id, r.hour_start, e.scope, e.category, e.basis,
           e.factor_release,
           sum(e.kgco2e) as kgco2e,
           sum(case when 'boundary_substitute' = any(string_to_array(e.flags, ',')) then e.kgco2e else 0 end)
               as substituted_kgco2e,
           sum(s.sign * abs(e.kgco2e) * (e.primary_share is not null)::integer) as with_share_kgco2e,
           sum(s.sign * abs(e.kgco2e) * coalesce(e.primary_share, 0)) as primary_kgco2e,
           sum(s.sign)::bigint as entries,
           count(e.reverses_id) as reversals,
           max(case when e.reverses_id is null then e.occurred_from end) as last_event
    from ledger.entry e
    cross join lateral (select case when e.reverses_id is null then 1 else -1 end as sign) s
    cross join lateral (
        values ('organization', '', null::timestamptz),
               ('organization_hour', '', date_trunc('hour', e.occurred_from at time zone 'UTC') at time zone 'UTC'),
               ('facility', e.facility_id, null),
               ('supplier', ledger.supplier_of(e.stream, e.source_ref), null)
    ) r (rollup, rollup_id, hour_start)
    where e.local_date = any(%(days)s) and e.activity_month = any(%(months)s)
      and e.recorded_at <= (select max(recorded_until) from windows.sum_segment)
      and r.rollup_id is not null
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
),
found as (
    select d.organization_id, d.local_date, d.rollup, d.rollup_id, d.hour_start, d.scope, d.category, d.basis,
           d.factor_release, sum(d.kgco2e) as kgco2e, sum(d.substituted_kgco2e) as substituted_kgco2e,
           sum(d.with_share_kgco2e) as with_share_kgco2e, sum(d.primary_kgco2e) as primary_kgco2e,
           sum(d.entries) as entries, sum(d.reversals) as reversals, max(d.last_event) as last_event
    from windows.day_sum d
    where d.local_date = any(%(days)s)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
),
compared as (
    select coalesce(e.local_date, f.local_date) as local_date, coalesce(e.rollup, f.rollup) as rollup,
           coalesce(e.rollup_id, f.rollup_id) as rollup_id, coalesce(e.scope, f.scope) as scope,
           coalesce(e.kgco2e, 0) - coalesce(f.kgco2e, 0) as kgco2e,
           coalesce(e.entries, 0) - coalesce(f.entries, 0) as entries,
           (e.kgco2e, e.substituted_kgco2e, e.with_share_kgco2e, e.primary_kgco2e, e.entries, e.reversals,
            e.last_event)
               is distinct from
           (f.kgco2e, f.substituted_kgco2e, f.with_share_kgco2e, f.primary_kgco2e, f.entries, f.reversals,
            f.last_event) as is_different
    from expected e
    full join found f
        on (e.organization_id, e.local_date, e.rollup, e.rollup_id, e.scope, e.basis, e.factor_release)
           = (f.organization_id, f.local_date, f.rollup, f.rollup_id, f.scope, f.basis, f.factor_release)
       and coalesce(e.category, 0) = coalesce(f.category, 0)
       and coalesce(e.hour_start, '-infinity') = coalesce(f.hour_start, '-infinity')
)
select local_date, rollup, rollup_id, scope, kgco2e, entries::bigint as entries
from compared
where is_different
order by local_date, rollup, rollup_id, scope
