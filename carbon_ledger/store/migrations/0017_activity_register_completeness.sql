-- The activity register: what people submitted, what another person decided, what was sent. And what is expected
-- of every source, with the totals that others state.

create sequence ledger.activity_submission_number as bigint;

create table ledger.activity_submission (
    submission_id   bigint not null,
    organization_id text collate "C",
    template        text not null,
    file_name       text not null,
    file_sha256     bytea not null,
    file_content    bytea not null,
    rows_accepted   integer not null,
    rows_refused    integer not null,
    submitted_by    text not null,
    submitted_at    timestamptz not null default clock_timestamp(),
    constraint activity_submission_pkey primary key (submission_id),
    constraint activity_submission_digest_is_of_the_content check (file_sha256 = sha256(file_content)),
    constraint activity_submission_has_rows check (
        rows_accepted >= 0 and rows_refused >= 0 and rows_accepted + rows_refused > 0),
    constraint activity_submission_has_a_name check (btrim(submitted_by) <> '' and btrim(file_name) <> '')
);
create index activity_submission_file on ledger.activity_submission (file_sha256);
comment on table ledger.activity_submission is
    'files of activities that no stream carries, each byte as it came; nothing of one counts before its approval';
comment on column ledger.activity_submission.organization_id is
    'the organization of the key it came with, all of whose rows are its; null: from the command line, of any';
comment on column ledger.activity_submission.file_sha256 is 'SHA-256 of file_content: what an entry''s record names as its evidence';

create table ledger.activity_row (
    submission_id bigint not null references ledger.activity_submission,
    file_line     integer not null,
    event_id      text collate "C" not null,
    event         jsonb not null,
    kgco2e        numeric(38, 12) not null,
    constraint activity_row_pkey primary key (submission_id, file_line),
    constraint activity_row_event_once unique (submission_id, event_id)
);
create index activity_row_event on ledger.activity_row (event_id);
comment on table ledger.activity_row is 'rows that can be approved: the event each would be';
comment on column ledger.activity_row.event is 'fields of the event, numbers as text, time in microseconds since 1970';
comment on column ledger.activity_row.kgco2e is 'kgCO2e it came to in the scopes when it was submitted; for the approver, not for the ledger';

create table ledger.activity_refusal (
    submission_id bigint not null references ledger.activity_submission,
    file_line     integer not null,
    code          text not null,
    message       text not null,
    field         text,
    value         text,
    valid         text,
    constraint activity_refusal_pkey primary key (submission_id, file_line)
);
comment on table ledger.activity_refusal is 'rows that cannot be approved, why, and what would be valid; their bytes are in the submission';

create table ledger.activity_decision (
    submission_id bigint not null references ledger.activity_submission,
    is_approved   boolean not null,
    decided_by    text not null,
    reason        text not null,
    decided_at    timestamptz not null default clock_timestamp(),
    constraint activity_decision_pkey primary key (submission_id),
    constraint activity_decision_has_a_name check (btrim(decided_by) <> '' and (is_approved or btrim(reason) <> ''))
);
comment on table ledger.activity_decision is 'what somebody else than the submitter decided; once, and for good';

create table ledger.activity_delivery (
    submission_id bigint not null references ledger.activity_decision,
    events        integer not null,
    delivered_at  timestamptz not null default clock_timestamp(),
    constraint activity_delivery_pkey primary key (submission_id)
);
comment on table ledger.activity_delivery is 'approved submissions all of whose events Kafka has acknowledged';

-- Two people, and only what was approved is sent.
create function ledger.check_activity_decision() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from ledger.activity_submission s
        where s.submission_id = new.submission_id
          and lower(btrim(s.submitted_by)) = lower(btrim(new.decided_by)) and new.is_approved
    ) then
        raise exception 'activity submission % is approved by its submitter', new.submission_id
            using errcode = 'check_violation', constraint = 'activity_decision_is_somebody_elses';
    end if;
    return null;
end
$$;
create trigger check_decision after insert on ledger.activity_decision
    for each row execute function ledger.check_activity_decision();

create function ledger.check_activity_delivery() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (
        select from ledger.activity_decision d where d.submission_id = new.submission_id and d.is_approved
    ) then
        raise exception 'activity submission % is not approved', new.submission_id
            using errcode = 'check_violation', constraint = 'activity_delivery_is_approved';
    end if;
    return null;
end
$$;
create trigger check_delivery after insert on ledger.activity_delivery
    for each row execute function ledger.check_activity_delivery();

select ledger.make_append_only(t) from unnest(array[
    'ledger.activity_submission', 'ledger.activity_row', 'ledger.activity_refusal', 'ledger.activity_decision',
    'ledger.activity_delivery'
]::regclass[]) as t;

select ledger.protect('ledger.activity_submission');

-- Not to the reader: a submission may speak of several organizations at once.
grant select on ledger.activity_submission, ledger.activity_row, ledger.activity_refusal, ledger.activity_decision,
    ledger.activity_delivery to carbon_writer, carbon_verifier, carbon_auditor;
grant insert on ledger.activity_submission, ledger.activity_row, ledger.activity_refusal, ledger.activity_decision,
    ledger.activity_delivery to carbon_writer;
grant usage on sequence ledger.activity_submission_number to carbon_writer;

create table reference.expected_source (
    stream           text collate "C" not null,
    source_id        text collate "C" not null,
    facility_id      text collate "C",
    every            text not null,
    interval_seconds integer,
    grace_days       integer not null,
    arrives_in       text collate "C",
    name             text not null,
    valid_from       date not null,
    valid_to         date,
    recorded_at      timestamptz not null,
    constraint expected_source_key unique nulls not distinct (stream, source_id, facility_id, valid_from, recorded_at),
    constraint expected_source_every_is_known check (every in ('interval', 'day', 'month')),
    constraint expected_source_interval_is_whole check ((every = 'interval') = (interval_seconds is not null)),
    constraint expected_source_interval_is_positive check (interval_seconds between 1 and 86400),
    constraint expected_source_grace_is_bounded check (grace_days between 0 and 366),
    constraint expected_source_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.expected_source is 'sources that must say something, and how often: what completeness is measured by';
comment on column reference.expected_source.source_id is 'as entries name it in source_ref: a meter, vehicle, supplier, template';
comment on column reference.expected_source.facility_id is 'its site, whose calendar and whose entries are looked at; null: every site, in UTC';
comment on column reference.expected_source.interval_seconds is 's, length of a meter''s interval';
comment on column reference.expected_source.grace_days is 'days after the end of a slot until it counts as missing';
comment on column reference.expected_source.arrives_in is 'the series of files its data come in: where all of them are missing, the file is';

create table reference.control_total (
    control_id         text collate "C" not null,
    kind               text not null,
    stream             text collate "C" not null,
    source_id          text collate "C",
    facility_id        text collate "C",
    organization_id    text collate "C",
    activity_type      text collate "C",
    quantity           numeric not null,
    unit               text not null,
    tolerance_pct      numeric not null,
    tolerance_quantity numeric not null,
    valid_from         date not null,
    valid_to           date not null,
    recorded_at        timestamptz not null,
    constraint control_total_pkey primary key (control_id, valid_from, recorded_at),
    constraint control_total_kind_is_known check (kind in ('invoice', 'fuel_card', 'gl_spend')),
    constraint control_total_quantity_is_a_number check (quantity > '-infinity' and quantity < 'infinity'),
    constraint control_total_tolerance_is_bounded check (tolerance_pct >= 0 and tolerance_pct <= 100),
    constraint control_total_tolerance_is_a_number check (tolerance_quantity >= 0 and tolerance_quantity < 'infinity'),
    constraint control_total_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.control_total is 'what somebody else says a period came to: an invoice, a fuel card, the general ledger';
comment on column reference.control_total.quantity is 'in unit, on the local days [valid_from, valid_to)';
comment on column reference.control_total.tolerance_pct is '% of quantity by which the ledger may differ';
comment on column reference.control_total.tolerance_quantity is 'in unit, by which it may differ in any case';

select ledger.make_append_only(t) from unnest(array[
    'reference.expected_source', 'reference.control_total']::regclass[]) as t;
select ledger.protect(t) from unnest(array['reference.expected_source', 'reference.control_total']::regclass[]) as t;
grant select on reference.expected_source, reference.control_total
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant insert on reference.expected_source, reference.control_total to carbon_writer;
