-- Files that suppliers leave: seen, read once by their content, and what came of each.

create table manifest.drop_sighting (
    supplier_id   text collate "C" not null,
    name          text collate "C" not null,
    size_bytes    bigint not null,
    mtime         bigint not null,
    since         timestamptz not null,
    is_whole      boolean not null default false,
    looks_cut     boolean not null default false,
    handled_size  bigint,
    handled_mtime bigint,
    constraint drop_sighting_pkey primary key (supplier_id, name),
    constraint drop_sighting_has_a_size check (size_bytes >= 0),
    constraint drop_sighting_is_handled_as_it_was check ((handled_size is null) = (handled_mtime is null))
);
comment on table manifest.drop_sighting is 'files in suppliers'' folders at the last look, half-uploaded ones among them';
comment on column manifest.drop_sighting.name is 'the file''s name; bytes that are no UTF-8 are escaped';
comment on column manifest.drop_sighting.mtime is 's since 1970-01-01 by the SFTP server''s clock';
comment on column manifest.drop_sighting.since is 'when it was first seen with this size and time';
comment on column manifest.drop_sighting.is_whole is 'whether its upload ended by a rename from a temporary name';
comment on column manifest.drop_sighting.looks_cut is 'whether what was read of it ends in the middle';
comment on column manifest.drop_sighting.handled_size is 'bytes of the version whose receipt has been left';
select ledger.protect('manifest.drop_sighting'::regclass);

create table ledger.source_file (
    supplier_id text collate "C" not null,
    sha256      bytea not null,
    name        text collate "C" not null,
    size_bytes  bigint not null,
    mtime       bigint not null,
    claimed_at  timestamptz not null,
    constraint source_file_pkey primary key (supplier_id, sha256, name),
    constraint source_file_hash_is_32_bytes check (octet_length(sha256) = 32),
    constraint source_file_has_a_size check (size_bytes >= 0)
);
comment on table ledger.source_file is 'files of suppliers, by the hash of what was read; claimed before anything is made of them';

create table ledger.source_file_outcome (
    supplier_id    text collate "C" not null,
    sha256         bytea not null,
    name           text collate "C" not null,
    fate           text not null,
    reason_code    text,
    reason         text,
    rows_accepted  integer not null,
    rows_rejected  integer not null,
    kept_at        text,
    receipt        text not null,
    finished_at    timestamptz not null default clock_timestamp(),
    constraint source_file_outcome_pkey primary key (supplier_id, sha256, name),
    constraint source_file_outcome_is_of_a_file
        foreign key (supplier_id, sha256, name) references ledger.source_file,
    constraint source_file_outcome_fate_is_known check (fate in ('read', 'duplicate', 'refused')),
    constraint source_file_outcome_refusal_has_reason check ((fate = 'refused') = (reason_code is not null)),
    constraint source_file_outcome_counts check (rows_accepted >= 0 and rows_rejected >= 0),
    constraint source_file_outcome_only_read_ones_have_rows check (fate = 'read' or rows_accepted + rows_rejected = 0)
);
-- The same bytes under another name add nothing.
create unique index source_file_outcome_content_counts_once
    on ledger.source_file_outcome (supplier_id, sha256) where fate <> 'duplicate';
comment on table ledger.source_file_outcome is 'what came of a supplier''s file, once Kafka had acknowledged all of it';
comment on column ledger.source_file_outcome.kept_at is 'where its bytes are: a path in the archive, or in the quarantine';
comment on column ledger.source_file_outcome.receipt is 'the receipt that is left for the supplier, JSON';

select ledger.make_append_only(t) from unnest(array['ledger.source_file', 'ledger.source_file_outcome']::regclass[]) as t;
select ledger.protect(t) from unnest(array['ledger.source_file', 'ledger.source_file_outcome']::regclass[]) as t;
grant select on manifest.drop_sighting, ledger.source_file, ledger.source_file_outcome
    to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert, update, delete on manifest.drop_sighting to carbon_writer;
grant insert on ledger.source_file, ledger.source_file_outcome to carbon_writer;
