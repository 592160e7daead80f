-- What reviewers found: sign-offs on cells of kept reports, entries and samples. A later one supersedes an earlier one
-- of the same subject; both stay.

create table audit.sign_off (
    sign_off_id     bigint generated always as identity,
    organization_id text collate "C" not null,
    subject_kind    text not null,
    snapshot_id     uuid,
    cell_id         text collate "C",
    entry_id        uuid,
    method          text,
    seed            bigint,
    size            integer,
    subject_sha256  bytea not null,
    verdict         text not null,
    note            text not null,
    key_id          text collate "C" not null,
    signed_by       text not null,
    person_id       text collate "C",
    recorded_at     timestamptz not null default clock_timestamp(),
    constraint sign_off_pkey primary key (sign_off_id),
    constraint sign_off_is_of_a_key foreign key (key_id) references access.api_key,
    -- What is signed off on stays.
    constraint sign_off_is_of_a_snapshot foreign key (snapshot_id) references reports.snapshot,
    constraint sign_off_is_of_a_cell foreign key (snapshot_id, cell_id) references reports.cell,
    constraint sign_off_subject_is_whole check (
        case subject_kind
            when 'cell' then num_nulls(snapshot_id, cell_id) = 0 and num_nonnulls(entry_id, method, seed, size) = 0
            when 'entry' then entry_id is not null and num_nonnulls(snapshot_id, cell_id, method, seed, size) = 0
            when 'sample' then num_nulls(snapshot_id, method, seed, size) = 0 and entry_id is null
            else false
        end),
    constraint sign_off_method_is_known check (method in ('monetary_unit', 'simple_random')),
    constraint sign_off_size_is_positive check (size > 0),
    constraint sign_off_hash_is_32_bytes check (octet_length(subject_sha256) = 32),
    constraint sign_off_verdict_is_known check (verdict in ('agreed', 'exception', 'follow_up')),
    constraint sign_off_says_why check (verdict = 'agreed' or note ~ '\S'),
    constraint sign_off_note_is_short check (length(note) <= 4000),
    constraint sign_off_has_a_name check (signed_by ~ '\S')
);
create index sign_off_of_entry on audit.sign_off (entry_id) where entry_id is not null;
create index sign_off_of_snapshot on audit.sign_off (snapshot_id, cell_id) where snapshot_id is not null;
comment on table audit.sign_off is
    'what a reviewer found of a cell of a kept report, an entry or a sample; the last one of a subject stands';
comment on column audit.sign_off.cell_id is 'of a sample: the cell whose entries it was drawn from; null for a whole report';
comment on column audit.sign_off.subject_sha256 is
    'what was looked at: the content hash of the snapshot or of the entry; of a sample the SHA-256 over the ids that were drawn, in order, 16 bytes each';
comment on column audit.sign_off.method is 'how a sample was drawn: carbon_ledger/lineage/review_samples.py';
comment on column audit.sign_off.seed is 'of the draw';
comment on column audit.sign_off.size is 'how many entries were asked for';
comment on column audit.sign_off.verdict is 'agreed, exception (it is not as stated), follow_up (something is to be answered first)';
comment on column audit.sign_off.signed_by is 'the holder of the key, as it was called then';
comment on column audit.sign_off.person_id is 'who the holder is; null for a key of no one person';

select ledger.make_append_only('audit.sign_off');
select ledger.protect('audit.sign_off');
grant select on audit.sign_off to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant insert on audit.sign_off to carbon_writer;
