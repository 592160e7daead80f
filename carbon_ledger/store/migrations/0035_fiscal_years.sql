-- Fiscal years that do not begin in January: in which month those of an organization do, and periods that are named for
-- the calendar year in which they end.

comment on column reference.entity.fiscal_year_first_month is
    '1 to 12, null: 1; the month in which its fiscal year begins, of a parent entity also that of the organization';

create function reference.first_months(known_at timestamptz)
returns table (organization_id text, first_month integer)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select distinct on (e.organization_id) e.organization_id, coalesce(e.fiscal_year_first_month, 1)
    from (
        select distinct on (s.entity_id, s.valid_from) s.*
        from reference.entity s
        where s.recorded_at <= known_at
        order by s.entity_id, s.valid_from, s.recorded_at desc
    ) e
    where e.kind = 'parent' and e.valid_to is distinct from e.valid_from
    order by e.organization_id, e.valid_from desc, e.entity_id desc
$$;
comment on function reference.first_months(timestamptz) is
    'the month in which the fiscal years of each organization with a parent entity begin, as known at a moment; January for any other';

-- A fiscal year has the name of the calendar year in which it ends; with January that is the one it begins in.
create function ledger.fiscal_year(day date, first_month integer) returns integer
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select extract(year from day)::integer
           + (coalesce(first_month, 1) > 1 and extract(month from day) >= first_month)::integer
$$;
comment on function ledger.fiscal_year(date, integer) is
    'the fiscal year that has a day, where years begin in a month (null: January): the calendar year in which it ends';

alter table ledger.period_decision drop constraint period_decision_period_is_its_dates;
alter table ledger.period_decision add constraint period_decision_period_is_its_dates check (
    extract(day from first_date) = 1
    and (period = extract(year from end_date - 1)::text and end_date = (first_date + interval '1 year')::date
         or period = extract(year from first_date)::text || '-' || lpad(extract(month from first_date)::text, 2, '0')
            and end_date = (first_date + interval '1 month')::date));
comment on column ledger.period_decision.period is
    'a fiscal year, named for the calendar year in which it ends, 2025, or a month, 2025-03: local dates [first_date, end_date)';

create or replace function ledger.check_period_decision() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    last ledger.period_decision;
begin
    -- Not compared with the horizon, which may step back while somebody writes: what was not final after all is seen
    -- when the state is recorded.
    if new.as_of >= clock_timestamp() then
        raise exception 'period % as of % is of a moment to come', new.period, new.as_of
            using errcode = 'check_violation', constraint = 'period_decision_is_of_the_past';
    end if;
    if new.content is distinct from
       ledger.period_content(new.organization_id, new.first_date, new.end_date, new.as_of) then
        raise exception 'content of period % is not what the ledger gives', new.period
            using errcode = 'check_violation', constraint = 'period_decision_content_is_the_ledger_s';
    end if;
    select d.* into last
    from ledger.period_state s
    join ledger.period_decision d using (decision_id)
    where s.organization_id = new.organization_id and s.period = new.period and s.state_no = new.state_no - 1;
    if found and (last.first_date, last.end_date) <> (new.first_date, new.end_date) then
        raise exception 'period % began with other dates', new.period
            using errcode = 'check_violation', constraint = 'period_decision_keeps_the_dates';
    end if;
    if new.state = 'reported' then
        if new.digest is distinct from last.digest then
            raise exception 'period % is reported with other figures than it was closed with', new.period
                using errcode = 'check_violation', constraint = 'period_decision_reports_what_was_closed';
        end if;
        if exists (
            select from unnest(new.snapshot_ids) as named (snapshot_id)
            where not exists (
                select from reports.esrs_e1 r
                where r.snapshot_id = named.snapshot_id and r.organization_id = new.organization_id
                  and r.fiscal_year = extract(year from new.end_date - 1) and r.as_of = new.as_of)
        ) then
            raise exception 'period % names a snapshot that is not of it as of %', new.period, new.as_of
                using errcode = 'check_violation', constraint = 'period_decision_snapshots_are_of_it';
        end if;
    end if;
    return null;
end
$$;

create or replace function ledger.check_period_decision_reports() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from unnest(new.report_ids) as named (snapshot_id)
        where not exists (
            select from reports.snapshot s
            where s.snapshot_id = named.snapshot_id and s.organization_id = new.organization_id
              and s.fiscal_year = extract(year from new.end_date - 1) and s.as_of = new.as_of)
    ) or new.state = 'reported' and (
        select count(distinct s.report) from reports.snapshot s where s.snapshot_id = any (new.report_ids)) < 2
    then
        raise exception 'period % does not bind both reports of it as of %', new.period, new.as_of
            using errcode = 'check_violation', constraint = 'period_decision_reports_are_of_it';
    end if;
    if new.state = 'reported'
       and new.report_sha256 is distinct from sha256(convert_to(ledger.period_reports(new.report_ids), 'UTF8')) then
        raise exception 'digest of the reports of period % is not what is kept', new.period
            using errcode = 'check_violation', constraint = 'period_decision_reports_digest';
    end if;
    return null;
end
$$;

grant execute on function reference.first_months(timestamptz), ledger.fiscal_year(date, integer)
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
