-- What stood at a moment, added up at once in every way that is told: in all, by scope, by category, by time.
-- The lines are read once; what they come to by bucket, category and release is few rows, and those are
-- grouped again. Lines of scope 0 enter no total, and of scope 2 only one basis is read at a time. What of
-- scope 3 rests on a market-based figure is a figure of its own and is never added to the others
-- (GHG Protocol Scope 2 Guidance, chapter 7).
with fine as materialized (
    select
        case %(granularity)s::text
            when 'monthly' then e.activity_month::timestamp
            when 'daily' then e.local_date::timestamp
            when 'hourly' then date_trunc('hour', e.occurred_from at time zone 'UTC')
            when 'five_minute'
                then date_bin('5 minutes', e.occurred_from at time zone 'UTC', timestamp '2000-01-01')
        end as bucket,
        e.scope,
        e.category,
        e.factor_release,
        min(e.local_date) as first_date,
        max(e.local_date) as last_date,
        sum(e.kgco2e) as kgco2e,
        count(*) as entries,
        sum(abs(e.kgco2e)) filter (where e.primary_share is not null) as with_share,
        sum(abs(e.kgco2e) * e.primary_share) as from_primary,
        sum(e.kgco2e) filter (where 'boundary_substitute' = any(string_to_array(e.flags, ','))) as substituted,
        max(e.occurred_from) as last_event
    from ledger.entry e
    where e.reverses_id is null
      and e.recorded_at <= %(as_of)s
      and not exists (
          select from ledger.reversal r where r.entry_id = e.entry_id and r.recorded_at <= %(as_of)s
      )
      and e.scope between 1 and 3
      and (e.scope <> 2 or e.basis = %(basis)s)
      and (e.scope <> 3 or e.basis <> 'market')
      and e.activity_month >= coalesce(date_trunc('month', %(start)s::date::timestamp)::date, '-infinity')
      and e.activity_month < coalesce(%(end)s::date, 'infinity')
      and e.local_date >= coalesce(%(start)s::date, '-infinity')
      and e.local_date < coalesce(%(end)s::date, 'infinity')
      and (%(scope)s::smallint is null or e.scope = %(scope)s::smallint)
      and (%(category)s::smallint is null or e.category = %(category)s::smallint)
      and (%(facility)s::text is null or e.facility_id = %(facility)s::text)
      and (
          %(supplier)s::text is null
          -- The first two are the index's, the third says what a supplier is.
          or e.stream in ('procurement', 'supplier') and e.source_ref = %(supplier)s::text
             and ledger.supplier_of(e.stream, e.source_ref) = %(supplier)s::text
      )
    group by 1, 2, 3, 4
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
    round(sum(from_primary) / nullif(sum(with_share), 0), 6) as primary_share,
    round(coalesce(sum(substituted), 0) / nullif(sum(kgco2e), 0), 6) as substituted_share,
    min(first_date) as first_date,
    max(last_date) as last_date,
    max(last_event) as last_event,
    coalesce(array_agg(distinct factor_release collate "C" order by factor_release collate "C")
             filter (where factor_release is not null), '{}') as factor_releases
from fine
group by grouping sets ((), (bucket), (scope), (scope, category))
-- The series is last: a limit cuts nothing else.
order by case grouping(bucket, scope, category) when 3 then 1 else 0 end, bucket, scope, category
limit %(limit)s
