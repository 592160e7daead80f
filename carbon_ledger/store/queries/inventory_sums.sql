-- What stood at a moment, from the sums of the segments that end at `until` or before and the lines recorded after it.
-- The same answer as `inventory`, without reading what has been summed. No row at all where `until`
-- is no longer the end of the last such segment: segments were merged meanwhile, and the question is to be asked again.
-- Of a day that something was taken back of, the sums do not say when its last event was: such days are named, the
-- latest first, where they may have the last.
with covered as materialized (
    select s.segment_id from windows.sum_segment s where s.recorded_until <= %(until)s::timestamptz
),
by_day as materialized (
    select l.local_date, l.hour_start, l.scope, l.category, l.factor_release,
           sum(l.kgco2e) as kgco2e,
           sum(l.substituted_kgco2e) as substituted_kgco2e,
           sum(l.with_share_kgco2e) as with_share_kgco2e,
           sum(l.primary_kgco2e) as primary_kgco2e,
           sum(l.entries) as entries,
           sum(l.reversals) as reversals,
           max(l.last_event) as last_event
    from (
        select d.local_date, d.hour_start, d.scope, d.category, d.factor_release, d.kgco2e, d.substituted_kgco2e,
               d.with_share_kgco2e, d.primary_kgco2e, d.entries, d.reversals, d.last_event
        from windows.day_sum d
        where d.rollup = %(rollup)s and d.rollup_id = %(rollup_id)s
          and d.segment_id in (select segment_id from covered)
          and d.local_date >= coalesce(%(start)s::date, '-infinity')
          and d.local_date < coalesce(%(end)s::date, 'infinity')
          and d.scope between 1 and 3
          and (d.scope <> 2 or d.basis = %(basis)s)
          and (d.scope <> 3 or d.basis <> 'market')
          and (%(scope)s::smallint is null or d.scope = %(scope)s::smallint)
          and (%(category)s::smallint is null or d.category = %(category)s::smallint)
        union all
        select e.local_date,
               case when %(rollup)s = 'organization_hour'
                   then date_trunc('hour', e.occurred_from at time zone 'UTC') at time zone 'UTC' end,
               e.scope, e.category, e.factor_release, e.kgco2e,
               case when 'boundary_substitute' = any(string_to_array(e.flags, ',')) then e.kgco2e else 0 end,
               s.sign * abs(e.kgco2e) * (e.primary_share is not null)::integer,
               s.sign * abs(e.kgco2e) * coalesce(e.primary_share, 0),
               s.sign,
               (e.reverses_id is not null)::integer,
               case when e.reverses_id is null then e.occurred_from end
        from ledger.entry e
        cross join lateral (select case when e.reverses_id is null then 1 else -1 end as sign) s
        where e.recorded_at > %(until)s::timestamptz and e.recorded_at <= %(as_of)s::timestamptz
          and e.activity_month >= coalesce(date_trunc('month', %(start)s::date::timestamp)::date, '-infinity')
          and e.activity_month < coalesce(%(end)s::date, 'infinity')
          and e.local_date >= coalesce(%(start)s::date, '-infinity')
          and e.local_date < coalesce(%(end)s::date, 'infinity')
          and e.scope between 1 and 3
          and (e.scope <> 2 or e.basis = %(basis)s)
          and (e.scope <> 3 or e.basis <> 'market')
          and (%(scope)s::smallint is null or e.scope = %(scope)s::smallint)
          and (%(category)s::smallint is null or e.category = %(category)s::smallint)
          and (%(facility)s::text is null or e.facility_id = %(facility)s::text)
          and (%(supplier)s::text is null or ledger.supplier_of(e.stream, e.source_ref) = %(supplier)s::text)
    ) l
    group by 1, 2, 3, 4, 5
    having sum(l.entries) <> 0
),
fine as materialized (
    select
        case %(granularity)s::text
            when 'monthly' then date_trunc('month', local_date::timestamp)
            when 'daily' then local_date::timestamp
            when 'hourly' then hour_start at time zone 'UTC'
        end as bucket,
        scope,
        category,
        factor_release,
        min(local_date) as first_date,
        max(local_date) as last_date,
        sum(kgco2e) as kgco2e,
        sum(entries) as entries,
        sum(with_share_kgco2e) as with_share_kgco2e,
        sum(primary_kgco2e) as primary_kgco2e,
        sum(substituted_kgco2e) as substituted_kgco2e,
        max(last_event) filter (where reversals = 0) as last_event
    from by_day
    group by 1, 2, 3, 4
),
doubtful as (
    select array_agg(local_date order by last_event desc, local_date desc) as dates,
           array_agg(last_event order by last_event desc, local_date desc) as at_most
    from by_day
    where reversals > 0
      and last_event > coalesce((select max(last_event) from fine), '-infinity')
)
select
    case grouping(bucket, scope, category)
        when 7 then 'total' when 3 then 'series' when 5 then 'scope' else 'category'
    end as told,
    bucket,
    scope,
    category,
    coalesce(sum(kgco2e), 0) as kgco2e,
    coalesce(sum(entries), 0)::bigint as entries,
    round(sum(primary_kgco2e) / nullif(sum(with_share_kgco2e), 0), 6) as primary_share,
    round(coalesce(sum(substituted_kgco2e), 0) / nullif(sum(kgco2e), 0), 6) as substituted_share,
    min(first_date) as first_date,
    max(last_date) as last_date,
    max(last_event) as last_event,
    coalesce(array_agg(distinct factor_release collate "C" order by factor_release collate "C")
             filter (where factor_release is not null), '{}') as factor_releases,
    case when grouping(bucket, scope, category) = 7 then (select dates from doubtful) end as doubtful_dates,
    case when grouping(bucket, scope, category) = 7 then (select at_most from doubtful) end as doubtful_at_most
from fine
group by grouping sets ((), (bucket), (scope), (scope, category))
having %(until)s::timestamptz = (
    select max(s.recorded_until) from windows.sum_segment s where s.recorded_until <= %(as_of)s::timestamptz
)
-- The series is last: a limit cuts nothing else.
order by case grouping(bucket, scope, category) when 3 then 1 else 0 end, bucket, scope, category
limit %(limit)s
