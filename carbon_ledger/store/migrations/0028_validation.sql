-- What the suites of expectations found, as evidence, and a way to the entries of an hour.

create table audit.validation (
    validation_id   uuid not null,
    suite           text collate "C" not null,
    suite_version   integer not null,
    suite_sha256    bytea not null,
    target          text collate "C" not null,
    unit            text collate "C" not null,
    as_of           timestamptz not null,
    is_success      boolean not null,
    worst_severity  text,
    expectations    integer not null,
    rows_validated  bigint not null,
    failures        jsonb not null,
    statistics      jsonb not null,
    engine          text not null,
    code_version    text not null,
    run_id          text not null,
    recorded_at     timestamptz not null default clock_timestamp(),
    constraint validation_pkey primary key (validation_id),
    constraint validation_hash_is_32_bytes check (octet_length(suite_sha256) = 32),
    constraint validation_counts_are_positive
        check (suite_version > 0 and expectations > 0 and rows_validated >= 0),
    constraint validation_severity_is_known check (worst_severity in ('critical', 'warning')),
    constraint validation_failure_is_told
        check (is_success = (worst_severity is null)
               and is_success = (jsonb_array_length(failures) = 0))
);
create index validation_of_unit on audit.validation (suite, unit, as_of);
comment on table audit.validation is
    'each time a suite of expectations was held against an hour, a day, a release or a snapshot, and what failed';
comment on column audit.validation.suite_sha256 is 'SHA-256 over every file of the suite, so the words that were judged by are known';
comment on column audit.validation.target is 'the table or view that was looked at';
comment on column audit.validation.unit is 'which part of it: the UTC hour of recording, the local day, the release, the snapshot';
comment on column audit.validation.as_of is 'every entry recorded until then was there to be seen';
comment on column audit.validation.worst_severity is 'of what failed: critical or warning; null where nothing did';
comment on column audit.validation.failures is
    'by failed expectation: how many rows were unexpected, and keys of some of them; no natural key, no person';
comment on column audit.validation.statistics is 'by expectation: what was observed, numbers as text; and seconds';
comment on column audit.validation.engine is 'what evaluated the expectations, with its version';

select ledger.make_append_only('audit.validation');
-- Names no organization, and tells of one.
select ledger.protect('audit.validation');
grant select on audit.validation to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert on audit.validation to carbon_writer;

-- Entries are appended in the order of their recording, so some bytes for each stretch of pages lead to an hour.
create index entry_recorded_at on ledger.entry using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);
