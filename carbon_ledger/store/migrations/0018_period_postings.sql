-- Postings of metered energy that are of a period and not of a reading, what each was computed from, and a view
-- for every stream.

create table ledger.period_basis (
    payload_sha256  bytea not null,
    organization_id text collate "C" not null,
    basis_text      text not null,
    recorded_at     timestamptz not null,
    constraint period_basis_pkey primary key (payload_sha256),
    constraint period_basis_hash_is_of_the_text check (payload_sha256 = sha256(convert_to(basis_text, 'UTF8')))
);
comment on table ledger.period_basis is
    'what the entries of stream period_postings were computed from: sums of standing entries, with the hash of their ids, and instruments';
comment on column ledger.period_basis.payload_sha256 is 'the payload hash of the entries that rest on it';
comment on column ledger.period_basis.basis_text is 'JSON, keys in order; quantities as decimal text';

create table ledger.period_run (
    fiscal_year  integer not null,
    known_at     timestamptz not null,
    lines_posted integer not null,
    reversals    integer not null,
    not_posted   integer not null,
    delta_kgco2e numeric not null,
    code_version text not null,
    constraint period_run_pkey primary key (fiscal_year, known_at),
    constraint period_run_counts_are_positive check (least(lines_posted, reversals, not_posted) >= 0)
);
comment on table ledger.period_run is 'each time the period postings of a fiscal year were compared with the entries they rest on';
comment on column ledger.period_run.known_at is 'the moment whose entries it looked at, and that its own bear';
comment on column ledger.period_run.delta_kgco2e is 'kgCO2e by which the ledger changed, all bases together';

select ledger.make_append_only(t) from unnest(array['ledger.period_basis', 'ledger.period_run']::regclass[]) as t;

create view ledger.transport as select * from ledger.entry where stream = 'transport';
create view ledger.logistics as select * from ledger.entry where stream = 'logistics';
create view ledger.procurement as select * from ledger.entry where stream = 'procurement';
create view ledger.supplier as select * from ledger.entry where stream = 'supplier';
create view ledger.activities as select * from ledger.entry where stream = 'activities';
create view ledger.period_postings as select * from ledger.entry where stream = 'period_postings';
comment on view ledger.transport is 'entries of vehicle trips';
comment on view ledger.logistics is 'entries of shipment legs';
comment on view ledger.procurement is 'entries of purchasing documents';
comment on view ledger.supplier is 'entries of supplier declarations';
comment on view ledger.activities is 'entries of registered activities';
comment on view ledger.period_postings is
    'entries of metered energy per period: category 3 per site and day, scope 2 market-based per site and year';

select ledger.protect(t) from unnest(array[
    'ledger.period_basis', 'ledger.period_run', 'ledger.transport', 'ledger.logistics', 'ledger.procurement',
    'ledger.supplier', 'ledger.activities', 'ledger.period_postings']::regclass[]) as t;

grant select on ledger.period_basis, ledger.period_run, ledger.transport, ledger.logistics, ledger.procurement,
    ledger.supplier, ledger.activities, ledger.period_postings to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant insert on ledger.period_basis, ledger.period_run to carbon_writer;
