-- Reports as they were made, cell by cell, and what a company states for them that no event carries.

create table reference.disclosure (
    organization_id text collate "C" not null,
    subject         text collate "C" not null,
    item            text collate "C" not null,
    value           numeric,
    text            text not null,
    source          text not null,
    valid_from      date not null,
    valid_to        date not null,
    recorded_at     timestamptz not null,
    constraint disclosure_pkey primary key (organization_id, subject, item, valid_from, recorded_at),
    constraint disclosure_value_is_finite check (value > '-infinity' and value < 'infinity'),
    constraint disclosure_says_something check (value is not null or text <> '' or item <> ''),
    constraint disclosure_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.disclosure is
    'what a company states for its reports in the period [valid_from, valid_to): base year, targets, exclusions, removals, …';
comment on column reference.disclosure.subject is 'what it is about: carbon_ledger/reporting/stated.py has the list, with units';
comment on column reference.disclosure.item is 'which one of the subject: a category, a target year, a quality standard';
comment on column reference.disclosure.source is 'the document it rests on';

create table reports.snapshot (
    snapshot_id     uuid not null,
    report          text not null,
    organization_id text collate "C" not null,
    fiscal_year     integer not null,
    profile         text not null,
    as_of           timestamptz not null,
    code_version    text not null,
    run_id          text not null,
    content         text not null,
    content_sha256  bytea not null,
    recorded_at     timestamptz not null default now(),
    constraint snapshot_pkey primary key (snapshot_id),
    constraint snapshot_report_is_known check (report in ('esrs_e1', 'cdp')),
    constraint snapshot_hash_is_of_the_content check (content_sha256 = sha256(convert_to(content, 'UTF8')))
);
create index snapshot_year on reports.snapshot (report, organization_id, fiscal_year, recorded_at);
comment on table reports.snapshot is 'a report as it was made: one organization and fiscal year, from what was known at as_of';
comment on column reports.snapshot.content is
    'the whole report as JSON, keys in order, figures as decimal text: every document of it is made from this';

create table reports.cell (
    snapshot_id     uuid not null,
    organization_id text collate "C" not null,
    cell_id         text collate "C" not null,
    table_id        text not null,
    value           numeric,
    text_value      text,
    unit            text not null,
    operation       text not null,
    concept         text not null,
    datapoint       text not null,
    year            integer,
    selection       jsonb,
    inputs          text[] not null,
    entries         bigint not null,
    constraint cell_pkey primary key (snapshot_id, cell_id),
    constraint cell_is_of_a_snapshot foreign key (snapshot_id) references reports.snapshot,
    constraint cell_operation_is_known
        check (operation in ('entries', 'sum', 'difference', 'quotient', 'stated', 'text', 'empty')),
    constraint cell_has_a_figure_or_a_text check (value is null or text_value is null),
    constraint cell_of_entries_says_which check (operation <> 'entries' or (selection is not null and year is not null)),
    constraint cell_of_cells_says_which
        check (operation not in ('sum', 'difference', 'quotient') or cardinality(inputs) > 0)
);
create index cell_datapoint on reports.cell (datapoint, snapshot_id);
comment on table reports.cell is 'every cell of a snapshot: its figure, not rounded, and the entries or cells it was made of';
comment on column reports.cell.table_id is 'the table that shows it; empty for what only other cells were made of';
comment on column reports.cell.selection is 'which entries of the year it takes: carbon_ledger/reporting/cube.py';

select ledger.make_append_only(t) from unnest(array[
    'reference.disclosure', 'reports.snapshot', 'reports.cell']::regclass[]) as t;
select ledger.protect(t) from unnest(array[
    'reference.disclosure', 'reports.snapshot', 'reports.cell']::regclass[]) as t;

grant select on reference.disclosure, reports.snapshot, reports.cell
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant insert on reference.disclosure, reports.snapshot, reports.cell to carbon_writer;
