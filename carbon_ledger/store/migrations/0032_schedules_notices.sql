-- When reports are due, which were made because of it, which snapshots may go again, and which runs failed.

create table reference.report_schedule (
    organization_id text collate "C" not null,
    schedule        text not null,
    time_zone       text not null,
    due_time        text not null,
    working_day     integer,
    due_day         text,
    weekend         text not null,
    valid_from      date not null,
    valid_to        date,
    recorded_at     timestamptz not null,
    constraint report_schedule_pkey primary key (organization_id, schedule, valid_from, recorded_at),
    constraint report_schedule_is_known
        check (schedule in ('monthly_accrual', 'quarterly_pre_close', 'annual_csrd', 'annual_cdp')),
    constraint report_schedule_has_a_time check (due_time ~ '^([01]\d|2[0-3]):[0-5]\d$'),
    constraint report_schedule_has_its_day check (
        case when schedule in ('monthly_accrual', 'quarterly_pre_close') then due_day is null and working_day is not null
             when schedule in ('annual_csrd', 'annual_cdp') then working_day is null and due_day is not null
             else true end),
    constraint report_schedule_working_day_is_near check (working_day between -20 and 20 and working_day <> 0),
    constraint report_schedule_day_is_of_a_year check (due_day ~ '^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$'),
    constraint report_schedule_weekend_is_known check (weekend in ('sat_sun', 'fri_sat', 'sun', 'none')),
    constraint report_schedule_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.report_schedule is
    'when a company wants which reports, on its own calendar: due on local days [valid_from, valid_to)';
comment on column reference.report_schedule.time_zone is 'IANA time zone that due_time is of';
comment on column reference.report_schedule.due_time is 'local time of day, HH:MM';
comment on column reference.report_schedule.working_day is
    'of a month or quarter: which working day after its end, or before it (-1: the last one of it)';
comment on column reference.report_schedule.due_day is 'of a fiscal year: MM-DD of the year after it, or the next working day';

create table reference.holiday (
    organization_id text collate "C" not null,
    name            text not null,
    valid_from      date not null,
    valid_to        date not null,
    recorded_at     timestamptz not null,
    constraint holiday_pkey primary key (organization_id, name, valid_from, recorded_at),
    constraint holiday_has_a_name check (name ~ '\S'),
    constraint holiday_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.holiday is 'days [valid_from, valid_to) on which a company does not work, beside its weekends';

-- A report that was due and has been made; each once, whoever asks how often.
create table reports.scheduled (
    organization_id text collate "C" not null,
    schedule        text not null,
    period          text collate "C" not null,
    report          text not null,
    fiscal_year     integer not null,
    due_at          timestamptz not null,
    snapshot_id     uuid,
    run_id          text not null,
    code_version    text not null,
    recorded_at     timestamptz not null default clock_timestamp(),
    constraint scheduled_pkey primary key (organization_id, schedule, period, report),
    constraint scheduled_is_of_a_snapshot foreign key (snapshot_id) references reports.snapshot,
    constraint scheduled_was_due check (due_at <= recorded_at)
);
comment on table reports.scheduled is 'reports that schedules asked for, each as known when it was due, however late it was made';
comment on column reports.scheduled.period is 'what it is of: 2026-03, 2026-Q1, 2026';
comment on column reports.scheduled.due_at is 'when it was due, which is the moment the report is as of';
comment on column reports.scheduled.snapshot_id is 'the report; null where the year had no entries then';

-- Snapshots that nobody asked for are made as often as something is posted, and may be thinned.
alter table reports.snapshot add column kept_because text not null default 'asked';
alter table reports.snapshot add constraint snapshot_reason_is_known
    check (kept_because in ('asked', 'scheduled', 'posted'));
comment on column reports.snapshot.kept_because is
    'asked: by a person, for good; scheduled: it was due, for good; posted: something had been posted, thinned with time';

create table reports.snapshot_retired (
    snapshot_id     uuid not null,
    kind            text not null,
    report          text not null,
    organization_id text collate "C" not null,
    fiscal_year     integer not null,
    profile         text not null,
    as_of           timestamptz not null,
    code_version    text not null,
    content_sha256  bytea,
    retired_at      timestamptz not null default clock_timestamp(),
    retired_by_run  text not null,
    constraint snapshot_retired_pkey primary key (snapshot_id, organization_id),
    constraint snapshot_retired_kind_is_known check (kind in ('snapshot', 'rows')),
    constraint snapshot_retired_has_its_hash
        check ((kind = 'snapshot') = (octet_length(content_sha256) is not distinct from 32))
);
comment on table reports.snapshot_retired is
    'snapshots that went: the same moment, profile and code make them again, and the hash says so';
comment on column reports.snapshot_retired.kind is 'snapshot: of reports.snapshot; rows: of reports.esrs_e1';

-- Snapshots that something else rests on: whatever table has a column of that name, and expectations that failed.
create function reports.cited_snapshots() returns setof uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    found record;
begin
    for found in
        select a.attrelid::regclass as place, a.attname as name, a.atttypid = 'uuid[]'::regtype as is_list
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p') and not c.relispartition
        join pg_namespace n on n.oid = c.relnamespace and n.nspname !~ '^(pg_|information_schema$)'
        where not a.attisdropped and a.attnum > 0
          and ((a.attname = 'snapshot_id' and a.atttypid = 'uuid'::regtype)
               or (a.attname = 'snapshot_ids' and a.atttypid = 'uuid[]'::regtype))
          and (n.nspname, c.relname) not in (
              ('reports', 'snapshot'), ('reports', 'cell'), ('reports', 'esrs_e1'), ('reports', 'snapshot_retired'))
    loop
        return query execute format(
            case when found.is_list then 'select unnest(%I) from %s' else 'select %I from %s where %1$I is not null' end,
            found.name, found.place);
    end loop;
    return query
        select v.unit::uuid from audit.validation v
        where v.suite = 'esrs_e1' and not v.is_success
          and v.unit ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
end
$$;

-- Holds for the owner too: a snapshot is never changed, and goes only once it is written down as retired.
create function reports.guard_snapshot() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'DELETE' and exists (
        select from reports.snapshot_retired r
        where r.snapshot_id = old.snapshot_id and r.organization_id = old.organization_id) then
        return old;
    end if;
    raise exception '% on %.% refused: rows are only ever added, and a snapshot goes once it is retired',
        tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
do $$
declare
    target regclass;
begin
    foreach target in array array['reports.snapshot', 'reports.cell', 'reports.esrs_e1']::regclass[] loop
        execute format('drop trigger refuse_change on %s', target);
        execute format('create trigger guard_snapshot before update or delete on %s '
                       'for each row execute function reports.guard_snapshot()', target);
    end loop;
end
$$;

-- Retires what may go, the oldest first, `at_most` of each kind: kept because something was posted more than
-- `after_days` days ago, not the last of its UTC day (after a year: of its month), and cited nowhere. The rule is
-- here and not with the caller; an age below a week is refused.
create function reports.retire_snapshots(run text, after_days integer, at_most integer)
returns table (kind text, retired bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    if after_days < 7 then
        raise exception 'snapshots younger than a week are not retired: % days', after_days
            using errcode = 'check_violation', constraint = 'snapshots_stay_a_week';
    end if;
    -- One at a time, so that two do not each leave what the other takes.
    perform pg_advisory_xact_lock(7232);
    return query
        with cited as materialized (select c from reports.cited_snapshots() c),
        aged as (
            select s.snapshot_id, s.kept_because, s.recorded_at,
                   row_number() over (
                       partition by s.report, s.organization_id, s.fiscal_year, s.profile, s.span
                       order by s.recorded_at desc, s.snapshot_id) as place
            from (
                select o.snapshot_id, o.report, o.organization_id, o.fiscal_year, o.profile, o.kept_because, o.recorded_at,
                       date_trunc(case when o.recorded_at < clock_timestamp() - interval '1 year' then 'month'
                                       else 'day' end, o.recorded_at at time zone 'UTC') as span
                from reports.snapshot o
            ) s
        ),
        going as (
            select a.snapshot_id from aged a
            where a.kept_because = 'posted' and a.place > 1
              and a.recorded_at < clock_timestamp() - make_interval(days => after_days)
              and not exists (select from cited where cited.c = a.snapshot_id)
            order by a.recorded_at limit at_most
        ),
        told as (
            insert into reports.snapshot_retired (
                snapshot_id, kind, report, organization_id, fiscal_year, profile, as_of, code_version, content_sha256,
                retired_by_run)
            select s.snapshot_id, 'snapshot', s.report, s.organization_id, s.fiscal_year, s.profile, s.as_of,
                   s.code_version, s.content_sha256, run
            from reports.snapshot s join going g using (snapshot_id)
            returning snapshot_id
        )
        select 'snapshot'::text, count(*) from told;
    return query
        with cited as materialized (select c from reports.cited_snapshots() c),
        made as (
            select e.snapshot_id, e.organization_id, e.fiscal_year, min(e.framework_profile) as profile,
                   min(e.as_of) as as_of, min(e.code_version) as code_version, min(e.recorded_at) as recorded_at
            from reports.esrs_e1 e group by e.snapshot_id, e.organization_id, e.fiscal_year
        ),
        aged as (
            select m.*, row_number() over (
                       partition by m.organization_id, m.fiscal_year, m.profile,
                           date_trunc(case when m.recorded_at < clock_timestamp() - interval '1 year' then 'month'
                                           else 'day' end, m.recorded_at at time zone 'UTC')
                       order by m.as_of desc, m.recorded_at desc, m.snapshot_id) as place
            from made m
        ),
        told as (
            insert into reports.snapshot_retired (
                snapshot_id, kind, report, organization_id, fiscal_year, profile, as_of, code_version, retired_by_run)
            select a.snapshot_id, 'rows', 'esrs_e1', a.organization_id, a.fiscal_year, a.profile, a.as_of, a.code_version,
                   run
            from aged a
            where a.place > 1 and a.recorded_at < clock_timestamp() - make_interval(days => after_days)
              and not exists (select from cited where cited.c = a.snapshot_id)
            order by a.recorded_at limit at_most
            returning snapshot_id
        )
        select 'rows'::text, count(*) from told;
    delete from reports.cell c using reports.snapshot_retired r
    where r.snapshot_id = c.snapshot_id and r.organization_id = c.organization_id and r.retired_by_run = run;
    delete from reports.snapshot s using reports.snapshot_retired r
    where r.snapshot_id = s.snapshot_id and r.organization_id = s.organization_id and r.retired_by_run = run;
    delete from reports.esrs_e1 e using reports.snapshot_retired r
    where r.snapshot_id = e.snapshot_id and r.organization_id = e.organization_id and r.retired_by_run = run;
end
$$;
revoke execute on function reports.cited_snapshots() from public;
revoke execute on function reports.guard_snapshot() from public;
revoke execute on function reports.retire_snapshots(text, integer, integer) from public;

create table audit.run_failure (
    run_id      text not null,
    job         text not null,
    part        text not null,
    error       text not null,
    failed_at   timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    constraint run_failure_pkey primary key (run_id),
    constraint run_failure_says_what check (error <> '' and length(error) <= 4000)
);
create index run_failure_recorded_at on audit.run_failure (recorded_at);
comment on table audit.run_failure is 'every run that failed, told before anybody is sent word of it; outlives Dagster''s own record';
comment on column audit.run_failure.part is 'partition and tags the run was asked for with, to read';
comment on column audit.run_failure.error is 'first error of it, without secrets, at most 4,000 characters';

create table audit.failure_notice (
    run_id       text not null references audit.run_failure,
    channel      text not null,
    attempt      integer not null,
    is_delivered boolean not null,
    outcome      text not null,
    recorded_at  timestamptz not null default clock_timestamp(),
    constraint failure_notice_pkey primary key (run_id, channel, attempt),
    constraint failure_notice_channel_is_known check (channel in ('webhook', 'smtp')),
    constraint failure_notice_attempt_counts check (attempt > 0)
);
comment on table audit.failure_notice is 'each attempt to send word of a failed run, and what came of it';

select ledger.make_append_only(t) from unnest(array[
    'reference.report_schedule', 'reference.holiday', 'reports.scheduled', 'reports.snapshot_retired',
    'audit.run_failure', 'audit.failure_notice']::regclass[]) as t;
select ledger.protect(t) from unnest(array[
    'reference.report_schedule', 'reference.holiday', 'reports.scheduled', 'reports.snapshot_retired',
    'audit.run_failure', 'audit.failure_notice']::regclass[]) as t;
grant select on reference.report_schedule, reference.holiday, reports.scheduled, reports.snapshot_retired,
    audit.run_failure, audit.failure_notice to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant insert on reference.report_schedule, reference.holiday, reports.scheduled, audit.run_failure, audit.failure_notice
    to carbon_writer;
grant execute on function reports.retire_snapshots(text, integer, integer) to carbon_writer;
