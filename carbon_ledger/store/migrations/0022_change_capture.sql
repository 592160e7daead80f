-- What change capture knows of the rows of an ERP: which events were made of them, and which are still to be
-- sent. A change is applied and its events are written down in one transaction, and a change that was applied is
-- recognised by its place in the ERP's log: so every change has its events once, whatever is killed in between.
create schema capture;
comment on schema capture is 'rows of captured tables, the events made of them, and those still to be sent';
revoke all on schema capture from public;

create table capture.source_row (
    source            text collate "C" not null,
    role              text not null,
    row_key           text collate "C" not null,
    header_key        text collate "C" not null,
    stream_position   text collate "C" not null default '',
    snapshot_position text collate "C" not null default '',
    image             jsonb,
    activity_ref      text collate "C",
    constraint source_row_pkey primary key (source, role, row_key),
    constraint source_row_is_header_or_line check (role in ('header', 'line')),
    constraint source_row_of_an_activity_is_a_line check (activity_ref is null or role = 'line')
);
create index source_row_of_header on capture.source_row (source, header_key) where role = 'line';
comment on table capture.source_row is 'the latest known state of each captured row; one that was deleted stays, without its image';
comment on column capture.source_row.header_key is 'key of the header that a line belongs to; of a header its own key';
comment on column capture.source_row.stream_position is 'place in the database''s log of the latest change that was applied';
comment on column capture.source_row.snapshot_position is 'place in the database''s log of the latest snapshot that was applied';
comment on column capture.source_row.image is 'the mapped columns as text; null: there is no such row (any more)';
comment on column capture.source_row.activity_ref is 'the activity that the line was last sent as';

create table capture.activity (
    source       text collate "C" not null,
    activity_ref text collate "C" not null,
    row_key      text collate "C" not null,
    revision     integer not null,
    sent         jsonb not null,
    is_standing  boolean not null,
    constraint activity_pkey primary key (source, activity_ref),
    constraint activity_revision_from_0 check (revision >= 0)
);
comment on table capture.activity is 'the latest event of each activity that was made of captured rows';
comment on column capture.activity.row_key is 'the line it was made of';
comment on column capture.activity.revision is 'revision of that event: the next one is one more';
comment on column capture.activity.sent is 'fields of that event, without its revision';
comment on column capture.activity.is_standing is 'false once it was cancelled';

create table capture.pending (
    pending_no bigint generated always as identity,
    source     text collate "C" not null,
    kind       text not null,
    body       jsonb not null,
    payload    bytea,
    constraint pending_pkey primary key (pending_no),
    constraint pending_is_event_or_letter check (kind in ('event', 'letter')),
    constraint pending_letter_has_bytes check ((kind = 'letter') = (payload is not null))
);
create index pending_of_source on capture.pending (source, pending_no);
comment on table capture.pending is 'events and letters that Kafka has not acknowledged yet, in their order';

create table capture.progress (
    source      text collate "C" not null,
    topic       text not null,
    next_offset bigint not null,
    constraint progress_pkey primary key (source, topic),
    constraint progress_offset_from_0 check (next_offset >= 0)
);
comment on table capture.progress is 'up to where each topic of changes is applied: put back with the rest by a restore';
comment on column capture.progress.next_offset is 'Kafka offset of the first change record that is not applied';

select ledger.protect(t) from unnest(array['capture.source_row', 'capture.activity', 'capture.pending', 'capture.progress']::regclass[]) as t;
grant usage on schema capture to carbon_writer, carbon_reader, carbon_auditor;
grant select, insert, update on capture.source_row, capture.activity, capture.progress to carbon_writer;
grant select, insert, delete on capture.pending to carbon_writer;
grant select on capture.source_row, capture.activity, capture.pending, capture.progress to carbon_reader, carbon_auditor;
