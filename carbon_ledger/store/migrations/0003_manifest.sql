-- What has been claimed from Kafka, by which batch, and how far it is committed.

create table manifest.stream (
    stream            text collate "C" not null,
    topic             text collate "C" not null,
    topic_id          text,
    topic_incarnation smallint not null default 0,
    halted_reason     text,
    halted_at         timestamptz,
    pending_since     timestamptz,
    constraint stream_pkey primary key (stream),
    constraint stream_topic_feeds_one_stream unique (topic),
    constraint stream_halt_has_reason check ((halted_reason is null) = (halted_at is null))
);
comment on table manifest.stream is 'streams, the Kafka topic behind each, and why one is halted, if it is';
comment on column manifest.stream.topic_id is 'Kafka''s own id of the topic: another one under the same name is another topic';
comment on column manifest.stream.topic_incarnation is
    'how many topics of this name have been replaced by another, which counts its offsets anew';
comment on column manifest.stream.pending_since is 'when the planner first saw the oldest records that no batch has claimed';

create table manifest.progress (
    topic             text collate "C" not null,
    topic_incarnation smallint not null default 0,
    kafka_partition   integer not null,
    first_offset      bigint not null default 0,
    planned_offset    bigint not null,
    committed_offset  bigint not null,
    recorded_at       timestamptz not null default now(),
    constraint progress_pkey primary key (topic, topic_incarnation, kafka_partition),
    constraint progress_commits_what_is_planned
        check (0 <= first_offset and first_offset <= committed_offset and committed_offset <= planned_offset)
);
comment on table manifest.progress is 'how far each Kafka partition is claimed and committed; rows of replaced topics stay';
comment on column manifest.progress.first_offset is 'where the accounts of this incarnation begin';
comment on column manifest.progress.planned_offset is 'first offset that no batch has claimed';
comment on column manifest.progress.committed_offset is 'first offset whose record is not in the accounts';

create table manifest.batch (
    batch_id          bigint generated always as identity,
    stream            text collate "C" not null references manifest.stream,
    arrival_partition text not null,
    status            text not null default 'planned',
    attempt           integer not null default 1,
    failures          integer not null default 0,
    failures_max      integer not null default 20,
    not_before        timestamptz not null default now(),
    run_id            text,
    topic_id          text,
    factor_release    text,
    planned_at        timestamptz not null default now(),
    started_at        timestamptz,
    finished_at       timestamptz,
    error             text,
    constraint batch_pkey primary key (batch_id),
    constraint batch_status_is_known check (status in ('planned', 'running', 'done', 'dead', 'withdrawn')),
    constraint batch_attempt_is_positive check (attempt >= 1 and failures >= 0)
);
create unique index batch_one_open_per_stream on manifest.batch (stream) where status in ('planned', 'running', 'dead');
create index batch_arrival on manifest.batch (stream, arrival_partition);
create index batch_finished on manifest.batch (finished_at);
comment on table manifest.batch is 'a claim on ranges of offsets, worked on by one run at a time';
comment on column manifest.batch.arrival_partition is 'UTC hour in which the batch was claimed: the Dagster partition key';
comment on column manifest.batch.status is
    'dead: failed too often, its stream is halted; withdrawn: its unread ranges went back after an accident of the topic';
comment on column manifest.batch.attempt is 'number of the current attempt, from 1; commits of an earlier one are refused';
comment on column manifest.batch.failures is 'attempts that failed for a reason of their own, not for a service that was down';
comment on column manifest.batch.not_before is 'the current attempt is not requested earlier (back-off)';

-- A table of its own: every part's commit holds the batch row (check_fence), and a sign of life must not wait for it.
create table manifest.lease (
    batch_id    bigint not null references manifest.batch,
    attempt     integer not null,
    lease_until timestamptz not null,
    constraint lease_pkey primary key (batch_id)
);
comment on table manifest.lease is 'signs of life of the run that works on a batch';
comment on column manifest.lease.lease_until is 'until then the planner takes the attempt to be alive';

create table manifest.batch_range (
    batch_id          bigint not null references manifest.batch,
    topic             text collate "C" not null,
    topic_incarnation smallint not null default 0,
    kafka_partition   integer not null,
    start_offset      bigint not null,
    end_offset        bigint not null,
    withdrawn_at      timestamptz,
    constraint batch_range_pkey primary key (batch_id, topic, kafka_partition),
    constraint batch_range_is_a_range check (0 <= start_offset and start_offset < end_offset)
);
create unique index batch_range_is_claimed_once
    on manifest.batch_range (topic, topic_incarnation, kafka_partition, start_offset) where withdrawn_at is null;
comment on column manifest.batch_range.withdrawn_at is 'when the claim was given back unread';

create table manifest.batch_window (
    batch_id   bigint not null,
    local_date date not null,
    constraint batch_window_pkey primary key (batch_id, local_date)
);
create index batch_window_date on manifest.batch_window (local_date);
comment on table manifest.batch_window is 'the local days a batch posted to';

create table manifest.gap (
    gap_id            bigint generated always as identity,
    stream            text not null,
    topic             text not null,
    topic_incarnation smallint not null default 0,
    kafka_partition   integer,
    kind              text not null,
    expected_offset   bigint,
    found_offset      bigint,
    expected_topic_id text,
    found_topic_id    text,
    detail            text not null,
    found_at          timestamptz not null default now(),
    resolved_at       timestamptz,
    resolution        text,
    resolved_by       text,
    constraint gap_pkey primary key (gap_id),
    constraint gap_kind_is_known
        check (kind in ('topic_recreated', 'topic_truncated', 'tail_lost', 'partition_added',
                        'partition_lost', 'topic_missing', 'batch_failed')),
    constraint gap_resolution_is_whole
        check ((resolved_at is null) = (resolution is null) and (resolved_at is null) = (resolved_by is null))
);
create unique index gap_is_open_once
    on manifest.gap (stream, kind, coalesce(kafka_partition, -1)) where resolved_at is null;
comment on table manifest.gap is
    'what halted a stream: what was expected, what was found, and who decided what to do';

grant select on all tables in schema manifest to carbon_writer, carbon_reader;
grant insert, update on manifest.stream, manifest.progress, manifest.batch, manifest.lease, manifest.gap to carbon_writer;
grant insert on manifest.batch_range, manifest.batch_window to carbon_writer;
grant update (withdrawn_at) on manifest.batch_range to carbon_writer;

-- Raises 'fenced' for an attempt that is not the batch's current one.
create function manifest.check_fence(p_batch_id bigint, p_attempt integer) returns void
language plpgsql as $$
declare
    b manifest.batch;
begin
    select * into strict b from manifest.batch where batch_id = p_batch_id for share;
    if b.attempt <> p_attempt or b.status not in ('planned', 'running') then
        raise exception 'fenced: attempt % of batch % has been replaced (attempt %, %)',
            p_attempt, p_batch_id, b.attempt, b.status
            using errcode = 'CL002';
    end if;
end
$$;

-- Opens one Kafka partition's part of a batch for the calling transaction: locks its progress row, and
-- tells whether there is work left. Raises 'fenced' for an attempt that has been replaced, 'gap' when the
-- part does not start where the last commit ended.
create function manifest.open_part(
    p_batch_id bigint, p_attempt integer, p_topic text, p_partition integer,
    out start_offset bigint, out end_offset bigint, out already_committed boolean, out recorded_at timestamptz,
    out topic_incarnation smallint
)
language plpgsql as $$
declare
    committed bigint;
begin
    select r.start_offset, r.end_offset, r.topic_incarnation into strict start_offset, end_offset, topic_incarnation
    from manifest.batch_range r
    where r.batch_id = p_batch_id and r.topic = p_topic and r.kafka_partition = p_partition;
    select p.committed_offset into strict committed
    from manifest.progress p
    where p.topic = p_topic and p.topic_incarnation = open_part.topic_incarnation and p.kafka_partition = p_partition
    for update;
    perform manifest.check_fence(p_batch_id, p_attempt);
    recorded_at := ledger.begin_writing();
    already_committed := committed >= end_offset;
    if committed < start_offset or (committed > start_offset and not already_committed) then
        raise exception 'gap: part of batch % starts at offset % of %-%, but the last commit ended at %',
            p_batch_id, start_offset, p_topic, p_partition, committed
            using errcode = 'CL001';
    end if;
end
$$;

-- Closes the part: moves the committed offset. The accounting row must be in the same transaction.
create function manifest.close_part(
    p_batch_id bigint, p_attempt integer, p_topic text, p_partition integer, p_end_offset bigint
) returns void
language plpgsql as $$
declare
    incarnation smallint;
begin
    perform manifest.check_fence(p_batch_id, p_attempt);
    select a.topic_incarnation into incarnation
    from ledger.batch_part a
    join manifest.batch_range r using (batch_id, topic, topic_incarnation, kafka_partition, start_offset, end_offset)
    where a.batch_id = p_batch_id and a.topic = p_topic and a.kafka_partition = p_partition
      and a.end_offset = p_end_offset and r.withdrawn_at is null;
    if not found then
        raise exception 'part %-% of batch % has no account', p_topic, p_partition, p_batch_id using errcode = 'CL003';
    end if;
    update manifest.progress
    set committed_offset = p_end_offset, recorded_at = now()
    where topic = p_topic and topic_incarnation = incarnation and kafka_partition = p_partition;
end
$$;
