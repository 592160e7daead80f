-- Sums of entries by time, and report tables.

create table windows.five_minute_delta (
    organization_id text collate "C" not null,
    facility_id     text collate "C" not null,
    country_iso2    text not null,
    window_start    timestamptz not null,
    local_date      date not null,
    scope           smallint not null,
    category        smallint,
    basis           text not null,
    activity_type   text not null,
    unit            text not null,
    quantity        numeric not null,
    kgco2e          numeric(38, 12) not null,
    entries         integer not null,
    lines           integer not null,
    batch_id        bigint,
    recorded_at     timestamptz not null default now(),
    constraint five_minute_delta_is_aligned
        check (extract(epoch from window_start) % 300 = 0)
);
create index five_minute_delta_date on windows.five_minute_delta (local_date);
-- Corrections by hand, few among many: a sensor asks for them every few seconds.
create index five_minute_delta_of_no_batch on windows.five_minute_delta (local_date) where batch_id is null;
comment on table windows.five_minute_delta is
    'what each commit added to each window, in the commit''s own transaction; a window is the sum of its deltas';
comment on column windows.five_minute_delta.window_start is
    'start of the five minutes [start, start + 5 min) that hold occurred_from';
comment on column windows.five_minute_delta.entries is 'entries that stand: +1 for a line posted, -1 for one reversed';
comment on column windows.five_minute_delta.lines is 'lines posted, reversals included';

create view windows.five_minute as
    select organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
           activity_type, unit, sum(quantity) as quantity, sum(kgco2e) as kgco2e,
           sum(entries) as entries, sum(lines) as lines
    from windows.five_minute_delta
    group by organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
             activity_type, unit;
comment on view windows.five_minute is 'kgCO2e and activity by facility and five minutes';

create view windows.daily as
    select organization_id, facility_id, country_iso2, local_date, scope, category, basis,
           activity_type, unit, sum(quantity) as quantity, sum(kgco2e) as kgco2e,
           sum(entries) as entries, sum(lines) as lines
    from windows.five_minute_delta
    group by organization_id, facility_id, country_iso2, local_date, scope, category, basis, activity_type, unit;
comment on view windows.daily is 'kgCO2e and activity by facility and day of the site''s calendar';

create table windows.verification (
    local_date       date not null,
    verified_at      timestamptz not null,
    series           bigint not null,
    lines            bigint not null,
    series_corrected bigint not null,
    run_id           text not null,
    constraint verification_pkey primary key (local_date, verified_at),
    constraint verification_counts_are_positive check (least(series, lines, series_corrected) >= 0)
);
comment on table windows.verification is 'when the windows of a day were last compared with its entries, and what was found';
comment on column windows.verification.series is 'windows of the day, each facility and activity counted by itself';
comment on column windows.verification.series_corrected is
    'windows that differed from their entries and got a correcting delta; 0 unless something is wrong';

create table reports.esrs_e1 (
    snapshot_id       uuid not null,
    organization_id   text not null,
    fiscal_year       integer not null,
    framework_profile text not null,
    datapoint         text not null,
    concept           text not null,
    country_iso2      text not null default '',
    value             numeric not null,
    unit              text not null,
    entries           bigint not null,
    substituted_share numeric,
    as_of             timestamptz not null,
    factor_releases   text not null,
    code_version      text not null,
    run_id            text not null,
    recorded_at       timestamptz not null default now(),
    constraint esrs_e1_pkey primary key (snapshot_id, organization_id, fiscal_year, datapoint, country_iso2)
);
create index esrs_e1_year on reports.esrs_e1 (fiscal_year, recorded_at);
comment on table reports.esrs_e1 is 'ESRS E1 datapoints by fiscal year; each materialization is a snapshot of its own';
comment on column reports.esrs_e1.country_iso2 is 'empty for the total, else a country (ESRS E1 AR 41 disaggregation)';
comment on column reports.esrs_e1.substituted_share is
    'share of the value, 0 to 1, that rests on a life-cycle factor standing in for a direct one';

select ledger.make_append_only(t) from unnest(array['windows.five_minute_delta', 'windows.verification', 'reports.esrs_e1']::regclass[]) as t;

grant select on all tables in schema windows, reports to carbon_writer, carbon_reader;
grant insert on windows.five_minute_delta, windows.verification, reports.esrs_e1 to carbon_writer;
