-- Sums of the ledger's lines, so that a year is told without reading every line of it.
--
-- A segment is everything that was recorded in a stretch of time, (after, until]. Its sums are made once its end is
-- behind the knowledge horizon, when no writer can add to it any more; so segments and the lines recorded after them
-- are the ledger, each line once, as of any moment at which a segment ends, and with the lines recorded since also as
-- of any other. Sums are derived: they may be thrown away at any time and are made again from the lines.

create table windows.sum_segment (
    segment_id     bigint not null generated always as identity,
    recorded_after timestamptz not null,
    recorded_until timestamptz not null,
    made_at        timestamptz not null default clock_timestamp(),
    constraint sum_segment_pkey primary key (segment_id),
    constraint sum_segment_is_forward check (recorded_after < recorded_until),
    -- No line is in two.
    constraint sum_segment_is_apart exclude using gist (tstzrange(recorded_after, recorded_until, '(]') with &&)
);
comment on table windows.sum_segment is
    'stretches of recording time whose lines are summed in windows.day_sum and windows.month_sum';
comment on column windows.sum_segment.recorded_after is 'lines recorded later than this';
comment on column windows.sum_segment.recorded_until is 'and at this moment or earlier';

create table windows.day_sum (
    segment_id           bigint not null,
    organization_id      text collate "C" not null,
    rollup               text collate "C" not null,
    rollup_id            text collate "C" not null,
    local_date           date not null,
    hour_start           timestamptz,
    scope                smallint not null,
    category             smallint,
    basis                text not null,
    factor_release       text not null,
    kgco2e               numeric not null,
    substituted_kgco2e   numeric not null,
    with_share_kgco2e    numeric not null,
    primary_kgco2e       numeric not null,
    entries              bigint not null,
    reversals            bigint not null,
    last_event           timestamptz,
    constraint day_sum_rollup_is_known
        check (rollup in ('organization', 'organization_hour', 'facility', 'supplier')
               and (rollup = 'organization_hour') = (hour_start is not null))
);
create index day_sum_of on windows.day_sum (rollup, rollup_id, local_date);
create index day_sum_segment on windows.day_sum (segment_id);
comment on table windows.day_sum is
    'what the lines of a segment add up to by day, for the organization, each facility and each supplier; by hour for the organization';
comment on column windows.day_sum.rollup is 'of what: organization, organization_hour, facility or supplier';
comment on column windows.day_sum.rollup_id is 'which facility or supplier; empty for an organization';
comment on column windows.day_sum.hour_start is 'UTC hour that holds occurred_from, of organization_hour; else null';
comment on column windows.day_sum.kgco2e is 'sum of the lines, reversals with their negative figures';
comment on column windows.day_sum.substituted_kgco2e is 'the part of lines that rest on a factor of another boundary';
comment on column windows.day_sum.with_share_kgco2e is
    'absolute figures of the lines that state a primary share, less those of what was taken back';
comment on column windows.day_sum.primary_kgco2e is 'the same, each times its primary share';
comment on column windows.day_sum.entries is 'lines posted less lines taken back';
comment on column windows.day_sum.reversals is 'lines that take one back';
comment on column windows.day_sum.last_event is 'latest occurred_from of the lines posted, taken back since or not';

create table windows.month_sum (
    segment_id         bigint not null,
    organization_id    text collate "C" not null,
    activity_month     date not null,
    scope              smallint not null,
    category           smallint,
    basis              text not null,
    stream             text not null,
    facility_id        text collate "C" not null,
    country_iso2       text not null,
    activity_type      text not null,
    unit               text not null,
    method             text not null,
    gwp_set            text not null,
    gas_split          text not null,
    factor_id          text not null,
    factor_version     integer not null,
    formula_id         text not null,
    factor_release     text not null,
    flags              text not null,
    quantity           numeric not null,
    kgco2e             numeric not null,
    kg_co2_fossil      numeric,
    kg_co2_biogenic    numeric,
    kg_ch4             numeric,
    kg_n2o             numeric,
    primary_kgco2e     numeric,
    entries            bigint not null
);
create index month_sum_month on windows.month_sum (activity_month);
create index month_sum_segment on windows.month_sum (segment_id);
comment on table windows.month_sum is
    'what the lines of a segment add up to by month of activity and everything that reports tell lines apart by';
comment on column windows.month_sum.primary_kgco2e is 'figures times their primary share, of the lines that state one';
comment on column windows.month_sum.entries is 'lines posted less lines taken back';

select ledger.protect(t) from unnest(array['windows.day_sum', 'windows.month_sum']::regclass[]) as t;
grant select on windows.sum_segment, windows.day_sum, windows.month_sum
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;

-- Lines of a day, and of a facility, are found without reading their month. Live lines come nearly in the order of
-- their days, so some bytes for each stretch of pages lead to a day.
create index entry_of_day on ledger.entry using brin (local_date) with (pages_per_range = 16, autosummarize = on);
create index entry_of_facility on ledger.entry (facility_id, local_date);
create index entry_of_other_gases on ledger.entry (recorded_at) where other_gases is not null;

-- Sums the lines recorded next, of a stretch of `width` at most that ends before the knowledge horizon and crosses
-- no hour of the running day and no day before it. Returns how many lines; null where there are none.
create function windows.sum_up(width interval) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    horizon timestamptz;
    known_until timestamptz;
    start timestamptz;
    upto timestamptz;
    segment bigint;
    summed bigint;
begin
    if width <= interval '0' then
        raise exception 'a stretch of % has no lines', width using errcode = 'check_violation';
    end if;
    -- One at a time; who comes second has nothing to do.
    if not pg_try_advisory_xact_lock(7233) then
        return null;
    end if;
    horizon := ledger.knowledge_horizon();
    known_until := (select max(s.recorded_until) from windows.sum_segment s);
    start := coalesce(known_until, (select min(e.recorded_at) - interval '1 microsecond' from ledger.entry e));
    if start is null or start >= horizon
       or not exists (select from ledger.entry e where e.recorded_at > start and e.recorded_at <= horizon)
    then
        return null;
    end if;
    loop
        upto := (date_trunc('day', start at time zone 'UTC') + interval '1 day') at time zone 'UTC';
        if upto > horizon then
            upto := (date_trunc('hour', start at time zone 'UTC') + interval '1 hour') at time zone 'UTC';
        end if;
        upto := least(upto, start + width, horizon);
        exit when exists (select from ledger.entry e where e.recorded_at > start and e.recorded_at <= upto);
        if upto >= horizon then
            return null;
        end if;
        start := upto;
    end loop;

    insert into windows.sum_segment (recorded_after, recorded_until)
    values (coalesce(known_until, '-infinity'), upto) returning segment_id into segment;
    with fine as materialized (
        select e.organization_id, e.activity_month, e.local_date,
               date_trunc('hour', e.occurred_from at time zone 'UTC') at time zone 'UTC' as hour_start,
               e.scope, e.category, e.basis, e.stream, e.facility_id,
               ledger.supplier_of(e.stream, e.source_ref) as supplier_id,
               e.country_iso2, e.activity_type, e.unit, coalesce(e.method, '') as method, e.gwp_set, e.gas_split,
               e.factor_id, e.factor_version, e.formula_id, e.factor_release, e.flags,
               sum(e.quantity) as quantity,
               sum(e.kgco2e) as kgco2e,
               sum(e.kg_co2_fossil) as kg_co2_fossil,
               sum(e.kg_co2_biogenic) as kg_co2_biogenic,
               sum(e.kg_ch4) as kg_ch4,
               sum(e.kg_n2o) as kg_n2o,
               sum(e.kgco2e * e.primary_share) as primary_kgco2e,
               sum(case when e.reverses_id is null then abs(e.kgco2e) else -abs(e.kgco2e) end)
                   filter (where e.primary_share is not null) as with_share_kgco2e,
               sum((case when e.reverses_id is null then abs(e.kgco2e) else -abs(e.kgco2e) end) * e.primary_share)
                   as primary_absolute_kgco2e,
               count(*) as lines,
               count(e.reverses_id) as reversals,
               max(e.occurred_from) filter (where e.reverses_id is null) as last_event
        from ledger.entry e
        where e.recorded_at > start and e.recorded_at <= upto
        group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21
    ),
    days as (
        insert into windows.day_sum (
            segment_id, organization_id, rollup, rollup_id, local_date, hour_start, scope, category, basis,
            factor_release, kgco2e, substituted_kgco2e, with_share_kgco2e, primary_kgco2e, entries, reversals,
            last_event)
        select segment, f.organization_id, r.rollup, r.rollup_id, f.local_date, r.hour_start, f.scope, f.category,
               f.basis, f.factor_release,
               sum(f.kgco2e),
               coalesce(sum(f.kgco2e) filter (where 'boundary_substitute' = any(string_to_array(f.flags, ','))), 0),
               coalesce(sum(f.with_share_kgco2e), 0),
               coalesce(sum(f.primary_absolute_kgco2e), 0),
               sum(f.lines - 2 * f.reversals),
               sum(f.reversals),
               max(f.last_event)
        from fine f
        cross join lateral (
            values ('organization', '', null::timestamptz), ('organization_hour', '', f.hour_start),
                   ('facility', f.facility_id, null), ('supplier', f.supplier_id, null)
        ) r (rollup, rollup_id, hour_start)
        where r.rollup_id is not null
        group by f.organization_id, r.rollup, r.rollup_id, f.local_date, r.hour_start, f.scope, f.category, f.basis,
                 f.factor_release
    ),
    months as (
        insert into windows.month_sum (
            segment_id, organization_id, activity_month, scope, category, basis, stream, facility_id, country_iso2,
            activity_type, unit, method, gwp_set, gas_split, factor_id, factor_version, formula_id, factor_release,
            flags, quantity, kgco2e, kg_co2_fossil, kg_co2_biogenic, kg_ch4, kg_n2o, primary_kgco2e, entries)
        select segment, f.organization_id, f.activity_month, f.scope, f.category, f.basis, f.stream, f.facility_id,
               f.country_iso2, f.activity_type, f.unit, f.method, f.gwp_set, f.gas_split, f.factor_id,
               f.factor_version, f.formula_id, f.factor_release, f.flags,
               sum(f.quantity), sum(f.kgco2e), sum(f.kg_co2_fossil), sum(f.kg_co2_biogenic), sum(f.kg_ch4),
               sum(f.kg_n2o), sum(f.primary_kgco2e), sum(f.lines - 2 * f.reversals)
        from fine f
        group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19
    )
    select coalesce(sum(f.lines), 0) into summed from fine f;
    return summed;
end
$$;

-- Makes one segment of those of each hour that is over, and of each day that is over. Returns how many fewer there
-- are.
create function windows.merge_sums() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    latest timestamptz;
    span text;
    parts record;
    segment bigint;
    fewer bigint := 0;
begin
    if not pg_try_advisory_xact_lock(7233) then
        return 0;
    end if;
    latest := (select max(s.recorded_until) from windows.sum_segment s);
    foreach span in array array['hour', 'day'] loop
        for parts in
            select array_agg(s.segment_id) as ids, min(s.recorded_after) as recorded_after,
                   max(s.recorded_until) as recorded_until
            from windows.sum_segment s
            cross join lateral (
                select date_trunc(span, (s.recorded_until - interval '1 microsecond') at time zone 'UTC') as begin
            ) b
            group by b.begin
            having count(*) > 1 and (b.begin + ('1 ' || span)::interval) at time zone 'UTC' <= latest
        loop
            delete from windows.sum_segment s where s.segment_id = any(parts.ids);
            insert into windows.sum_segment (recorded_after, recorded_until)
            values (parts.recorded_after, parts.recorded_until) returning segment_id into segment;
            insert into windows.day_sum (
                segment_id, organization_id, rollup, rollup_id, local_date, hour_start, scope, category, basis,
                factor_release, kgco2e, substituted_kgco2e, with_share_kgco2e, primary_kgco2e, entries, reversals,
                last_event)
            select segment, d.organization_id, d.rollup, d.rollup_id, d.local_date, d.hour_start, d.scope, d.category,
                   d.basis, d.factor_release, sum(d.kgco2e), sum(d.substituted_kgco2e), sum(d.with_share_kgco2e),
                   sum(d.primary_kgco2e), sum(d.entries), sum(d.reversals), max(d.last_event)
            from windows.day_sum d
            where d.segment_id = any(parts.ids)
            group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
            insert into windows.month_sum (
                segment_id, organization_id, activity_month, scope, category, basis, stream, facility_id,
                country_iso2, activity_type, unit, method, gwp_set, gas_split, factor_id, factor_version, formula_id,
                factor_release, flags, quantity, kgco2e, kg_co2_fossil, kg_co2_biogenic, kg_ch4, kg_n2o,
                primary_kgco2e, entries)
            select segment, m.organization_id, m.activity_month, m.scope, m.category, m.basis, m.stream,
                   m.facility_id, m.country_iso2, m.activity_type, m.unit, m.method, m.gwp_set, m.gas_split,
                   m.factor_id, m.factor_version, m.formula_id, m.factor_release, m.flags, sum(m.quantity),
                   sum(m.kgco2e), sum(m.kg_co2_fossil), sum(m.kg_co2_biogenic), sum(m.kg_ch4), sum(m.kg_n2o),
                   sum(m.primary_kgco2e), sum(m.entries)
            from windows.month_sum m
            where m.segment_id = any(parts.ids)
            group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19;
            delete from windows.day_sum d where d.segment_id = any(parts.ids);
            delete from windows.month_sum m where m.segment_id = any(parts.ids);
            fewer := fewer + cardinality(parts.ids) - 1;
        end loop;
    end loop;
    return fewer;
end
$$;

-- Throws all sums away; every answer is the same without them, and they are made anew.
create function windows.forget_sums() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(7233);
    delete from windows.sum_segment;
    delete from windows.day_sum;
    delete from windows.month_sum;
end
$$;
revoke execute on function windows.sum_up(interval), windows.merge_sums(), windows.forget_sums() from public;
grant execute on function windows.sum_up(interval), windows.merge_sums(), windows.forget_sums() to carbon_writer;

-- What stood at a moment, from the sums of the segments that end at `summed_until` or before and the lines recorded
-- after it. The same answer as the query `inventory`, without reading what has been summed. No row at all where
-- `summed_until` is no longer the end of the last such segment: segments were merged meanwhile, and the question is to
-- be asked again. Of a day that something was taken back of, the sums do not say when its last event was: such days
-- are named, the latest first, where they may have the last.
-- It is planned once per session, whatever is asked: planning looks at every month of the question, and takes longer
-- than the answer. The few lines that are not summed are always found by their moment of recording.
create function windows.inventory(
    of_rollup text, of_id text, granularity text, from_date date, until_date date, of_scope smallint,
    of_category smallint, of_basis text, of_facility text, of_supplier text, summed_until timestamptz,
    known_at timestamptz, series_most integer)
returns table (
    told text, bucket timestamp, scope smallint, category smallint, kgco2e numeric, entries bigint,
    primary_share numeric, substituted_share numeric, first_date date, last_date date, last_event timestamptz,
    factor_releases text[], doubtful_dates date[], doubtful_at_most timestamptz[])
language plpgsql stable
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
set jit = 'off'
as $$
#variable_conflict use_column
begin
    return query
    with covered as materialized (
        select s.segment_id from windows.sum_segment s where s.recorded_until <= summed_until
    ),
    latest as materialized (
        select max(s.recorded_until) as until from windows.sum_segment s where s.recorded_until <= known_at
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
            where d.rollup = of_rollup and d.rollup_id = of_id
              and d.segment_id in (select c.segment_id from covered c)
              and d.local_date >= coalesce(from_date, '-infinity')
              and d.local_date < coalesce(until_date, 'infinity')
              and d.scope between 1 and 3
              and (d.scope <> 2 or d.basis = of_basis)
              and (d.scope <> 3 or d.basis <> 'market')
              and (of_scope is null or d.scope = of_scope)
              and (of_category is null or d.category = of_category)
            union all
            select e.local_date,
                   case when of_rollup = 'organization_hour'
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
            where e.recorded_at > summed_until and e.recorded_at <= known_at
              and e.activity_month >= coalesce(date_trunc('month', from_date::timestamp)::date, '-infinity')
              and e.activity_month < coalesce(until_date, 'infinity')
              and e.local_date >= coalesce(from_date, '-infinity')
              and e.local_date < coalesce(until_date, 'infinity')
              and e.scope between 1 and 3
              and (e.scope <> 2 or e.basis = of_basis)
              and (e.scope <> 3 or e.basis <> 'market')
              and (of_scope is null or e.scope = of_scope)
              and (of_category is null or e.category = of_category)
              and (of_facility is null or e.facility_id = of_facility)
              and (of_supplier is null or ledger.supplier_of(e.stream, e.source_ref) = of_supplier)
        ) l
        group by 1, 2, 3, 4, 5
        having sum(l.entries) <> 0
    ),
    fine as materialized (
        select
            case granularity
                when 'monthly' then date_trunc('month', b.local_date::timestamp)
                when 'daily' then b.local_date::timestamp
                when 'hourly' then b.hour_start at time zone 'UTC'
            end as bucket,
            b.scope, b.category, b.factor_release,
            min(b.local_date) as first_date,
            max(b.local_date) as last_date,
            sum(b.kgco2e) as kgco2e,
            sum(b.entries) as entries,
            sum(b.with_share_kgco2e) as with_share_kgco2e,
            sum(b.primary_kgco2e) as primary_kgco2e,
            sum(b.substituted_kgco2e) as substituted_kgco2e,
            max(b.last_event) filter (where b.reversals = 0) as last_event
        from by_day b
        group by 1, 2, 3, 4
    ),
    doubtful as materialized (
        select array_agg(b.local_date order by b.last_event desc, b.local_date desc) as dates,
               array_agg(b.last_event order by b.last_event desc, b.local_date desc) as at_most
        from by_day b
        where b.reversals > 0
          and b.last_event > coalesce((select max(f.last_event) from fine f), '-infinity')
    ),
    parts as (
        select case grouping(f.scope, f.category) when 3 then 'total' when 1 then 'scope' else 'category' end as told,
               null::timestamp as bucket, f.scope, f.category,
               coalesce(sum(f.kgco2e), 0) as kgco2e,
               coalesce(sum(f.entries), 0)::bigint as entries,
               round(sum(f.primary_kgco2e) / nullif(sum(f.with_share_kgco2e), 0), 6) as primary_share,
               round(coalesce(sum(f.substituted_kgco2e), 0) / nullif(sum(f.kgco2e), 0), 6) as substituted_share,
               min(f.first_date) as first_date,
               max(f.last_date) as last_date,
               max(f.last_event) as last_event,
               coalesce(array_agg(distinct f.factor_release collate "C" order by f.factor_release collate "C")
                        filter (where f.factor_release is not null), '{}') as factor_releases,
               case when grouping(f.scope, f.category) = 3 then (select d.dates from doubtful d) end as dates,
               case when grouping(f.scope, f.category) = 3 then (select d.at_most from doubtful d) end as at_most
        from fine f
        group by grouping sets ((), (f.scope), (f.scope, f.category))
    ),
    series as (
        select f.bucket, sum(f.kgco2e) as kgco2e, sum(f.entries)::bigint as entries, min(f.first_date) as first_date,
               max(f.last_date) as last_date
        from fine f
        group by f.bucket
        order by f.bucket
        limit series_most
    )
    select p.told, p.bucket, p.scope, p.category, p.kgco2e, p.entries, p.primary_share, p.substituted_share,
           p.first_date, p.last_date, p.last_event, p.factor_releases, p.dates, p.at_most
    from (
        select * from parts
        union all
        select 'series', s.bucket, null, null, s.kgco2e, s.entries, null, null, s.first_date, s.last_date, null, null,
               null, null
        from series s
    ) p
    where summed_until = (select l.until from latest l)
    order by (p.told = 'series'), p.bucket, p.scope, p.category;
end
$$;
revoke execute on function windows.inventory(
    text, text, text, date, date, smallint, smallint, text, text, text, timestamptz, timestamptz, integer) from public;
grant execute on function windows.inventory(
    text, text, text, date, date, smallint, smallint, text, text, text, timestamptz, timestamptz, integer)
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
