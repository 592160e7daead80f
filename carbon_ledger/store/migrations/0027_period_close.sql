-- Closing a period of an organization: open, soft-closed, closed, reported; reopened by a decision. Every change of
-- state is a row that says who, when, why, what the period came to and as of when. Entries are never refused for a
-- period's sake: what is recorded after the moment of a close is late, and stays apart by that moment alone.

create sequence ledger.period_decision_number as bigint;

-- What a period came to as known at a moment, as text that is the same for ever: figures by scope, category and basis
-- in kgCO2e, and for each the hash of its entries. Both dates are firsts of months, so months of entries are whole.
create function ledger.period_content(organization text, first_date date, end_date date, known_at timestamptz)
returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with month_cell as (
        select e.activity_month, e.scope, e.category, e.basis collate "C" as basis,
               sum(e.kgco2e) as kgco2e, coalesce(sum(e.kg_co2_biogenic), 0::numeric(38, 12)) as kg_co2_biogenic,
               sum(case when e.reverses_id is null then 1 else -1 end) as entries, count(*) as lines,
               sha256(string_agg(uuid_send(e.entry_id) || e.content_sha256, ''::bytea order by e.entry_id)) as hash
        from ledger.entry e
        where e.organization_id = organization and e.recorded_at <= known_at
          and e.activity_month >= first_date and e.activity_month < end_date
        group by 1, 2, 3, 4
    ),
    cell as (
        select c.scope, c.category, c.basis, sum(c.kgco2e) as kgco2e, sum(c.kg_co2_biogenic) as kg_co2_biogenic,
               sum(c.entries) as entries, sum(c.lines) as lines,
               sha256(string_agg(c.hash, ''::bytea order by c.activity_month)) as hash
        from month_cell c
        group by 1, 2, 3
    )
    select concat_ws(
               E'\t', 'carbon-period/1', organization, to_char(first_date, 'YYYY-MM-DD'), to_char(end_date, 'YYYY-MM-DD'),
               to_char(known_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || E'\n'
           || coalesce(string_agg(
               concat_ws(E'\t', c.scope, coalesce(c.category::text, '-'), c.basis, c.kgco2e, c.kg_co2_biogenic, c.entries,
                         c.lines, encode(c.hash, 'hex')) || E'\n',
               '' order by c.scope, c.category nulls first, c.basis), '')
    from cell c
$$;
comment on function ledger.period_content(text, date, date, timestamptz) is
    'what a period came to as known at a moment: a heading, then scope, category, basis, kgCO2e, kg of biogenic CO2, entries that stand, lines, SHA-256 of the lines';

create table ledger.period_decision (
    decision_id     bigint not null,
    organization_id text collate "C" not null,
    period          text collate "C" not null,
    first_date      date not null,
    end_date        date not null,
    state_no        integer not null,
    previous_state  text not null,
    state           text not null,
    as_of           timestamptz not null,
    content         text not null,
    digest          bytea not null,
    snapshot_ids    uuid[] not null default '{}',
    snapshot_sha256 bytea,
    accepted        text[] not null default '{}',
    decided_by      text not null,
    reason          text not null,
    decided_at      timestamptz not null default clock_timestamp(),
    constraint period_decision_pkey primary key (decision_id),
    constraint period_decision_is_one unique
        (decision_id, organization_id, period, state_no, previous_state, state, decided_by),
    constraint period_decision_period_is_its_dates check (
        extract(day from first_date) = 1
        and (period = extract(year from first_date)::text and end_date = (first_date + interval '1 year')::date
             or period = extract(year from first_date)::text || '-' || lpad(extract(month from first_date)::text, 2, '0')
                and end_date = (first_date + interval '1 month')::date)),
    constraint period_decision_digest_is_of_the_content check (digest = sha256(convert_to(content, 'UTF8'))),
    constraint period_decision_has_a_name check (
        decided_by <> '' and reason ~ '\S'
        and decided_by = btrim(regexp_replace(normalize(decided_by, nfkc), '\s+', ' ', 'g'))),
    constraint period_decision_leads_on check (
        (previous_state, state) in (
            ('open', 'soft_closed'), ('reopened', 'soft_closed'), ('soft_closed', 'closed'), ('closed', 'reported'),
            ('soft_closed', 'reopened'), ('closed', 'reopened'), ('reported', 'reopened'))),
    constraint period_decision_reports_a_snapshot check (
        (state = 'reported') = (cardinality(snapshot_ids) > 0)
        and (state = 'reported') = (octet_length(snapshot_sha256) is not distinct from 32)),
    -- Reports are of years.
    constraint period_decision_reports_a_year check (state <> 'reported' or period ~ '^\d{4}$')
);
create index period_decision_period on ledger.period_decision (organization_id, period, state_no);
comment on table ledger.period_decision is
    'what somebody decided about a period: soft-closing is in force at once, anything else once another person agreed';
comment on column ledger.period_decision.period is 'a fiscal year, 2025, or a month, 2025-03: local dates [first_date, end_date)';
comment on column ledger.period_decision.state_no is 'number of the state it leads to, from 1: it holds for no other turn';
comment on column ledger.period_decision.as_of is 'the ledger as known then is what is closed; what is recorded later is late';
comment on column ledger.period_decision.content is 'ledger.period_content of the period as of as_of; kgCO2e';
comment on column ledger.period_decision.snapshot_ids is 'the report snapshots, all as of as_of, that a reported period rests on';
comment on column ledger.period_decision.snapshot_sha256 is
    'SHA-256 of their rows of the organization, see carbon_ledger/store/periods.py';
comment on column ledger.period_decision.accepted is 'codes of what stood in the way and was accepted with the decision';

create table ledger.period_state (
    organization_id text collate "C" not null,
    period          text collate "C" not null,
    state_no        integer not null,
    previous_state  text not null,
    state           text not null,
    decision_id     bigint not null,
    decided_by      text not null,
    approved_by     text,
    approval_reason text,
    recorded_at     timestamptz not null default clock_timestamp(),
    previous_no     integer generated always as (nullif(state_no - 1, 0)) stored,
    constraint period_state_pkey primary key (organization_id, period, state_no),
    constraint period_state_is_one_state unique (organization_id, period, state_no, state),
    constraint period_state_has_a_decision_of_its_own unique (decision_id),
    constraint period_state_follows_the_last foreign key (organization_id, period, previous_no, previous_state)
        references ledger.period_state (organization_id, period, state_no, state),
    constraint period_state_is_the_decision foreign key
        (decision_id, organization_id, period, state_no, previous_state, state, decided_by)
        references ledger.period_decision
            (decision_id, organization_id, period, state_no, previous_state, state, decided_by),
    constraint period_state_begins_open check (state_no >= 1 and (state_no = 1) = (previous_state = 'open')),
    constraint period_state_is_of_two_people check (
        (state = 'soft_closed') = (approved_by is null) and (approved_by is null) = (approval_reason is null)
        and lower(approved_by) <> lower(decided_by)),
    constraint period_state_has_a_name check (
        approved_by <> '' and approval_reason ~ '\S'
        and approved_by = btrim(regexp_replace(normalize(approved_by, nfkc), '\s+', ' ', 'g')))
);
comment on table ledger.period_state is
    'states of periods, dense from 1 and without a fork: the one with the highest number holds, none is open';
comment on column ledger.period_state.approved_by is 'the second person; null for a soft close, which one may decide';

-- What is decided on is what the ledger gives, and what is reported is what was closed.
create function ledger.check_period_decision() returns trigger
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
                  and r.fiscal_year = extract(year from new.first_date) and r.as_of = new.as_of)
        ) then
            raise exception 'period % names a snapshot that is not of it as of %', new.period, new.as_of
                using errcode = 'check_violation', constraint = 'period_decision_snapshots_are_of_it';
        end if;
    end if;
    return null;
end
$$;
create trigger check_period_decision after insert on ledger.period_decision
    for each row execute function ledger.check_period_decision();

-- What two people agreed on is still what the ledger gives.
create function ledger.check_period_state() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (
        select from ledger.period_decision d
        where d.decision_id = new.decision_id
          and d.content = ledger.period_content(d.organization_id, d.first_date, d.end_date, d.as_of)
    ) then
        raise exception 'period % is not what it was decided on any more', new.period
            using errcode = 'check_violation', constraint = 'period_state_is_what_was_decided';
    end if;
    return null;
end
$$;
create trigger check_period_state after insert on ledger.period_state
    for each row execute function ledger.check_period_state();

select ledger.make_append_only(t) from unnest(array['ledger.period_decision', 'ledger.period_state']::regclass[]) as t;
select ledger.protect(t) from unnest(array['ledger.period_decision', 'ledger.period_state']::regclass[]) as t;

grant select on ledger.period_decision, ledger.period_state
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant insert on ledger.period_decision, ledger.period_state to carbon_writer;
grant execute on function ledger.period_content(text, date, date, timestamptz)
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant usage on sequence ledger.period_decision_number to carbon_writer;
