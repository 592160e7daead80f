-- The way back of dead letters: letters of the edges beside those of raw records, what was decided on each, by whom
-- and why, what was sent again, and what has become of it.

create table ledger.edge_letter (
    letter_id       text collate "C" not null,
    source          text collate "C" not null,
    coordinates     text not null,
    stream          text,
    reason_code     text not null,
    reason          text not null,
    field           text,
    offending_value text,
    valid_values    text,
    content_type    text not null,
    received_at     timestamptz,
    record_key      bytea,
    record_value    bytea,
    record_headers  jsonb not null default '[]',
    topic           text collate "C" not null,
    kafka_partition integer not null,
    kafka_offset    bigint not null,
    recorded_at     timestamptz not null default clock_timestamp(),
    constraint edge_letter_pkey primary key (letter_id),
    constraint edge_letter_id_is_of_an_edge check (letter_id ~ '^edge:[0-9a-f]{16}$')
);
create index edge_letter_reason on ledger.edge_letter (reason_code);
comment on table ledger.edge_letter is
    'what an adapter received and could not turn into an event, taken up from dlq.failed_events; once, however often it came';
comment on column ledger.edge_letter.letter_id is 'edge: and 8 bytes, in hex, of the SHA-256 of source, coordinates and bytes';
comment on column ledger.edge_letter.source is 'the adapter as it is configured, e.g. mqtt:plant-7';
comment on column ledger.edge_letter.coordinates is 'the place within the source: topic and message, URL and item, file and line';
comment on column ledger.edge_letter.record_value is 'what was received, unchanged';
comment on column ledger.edge_letter.kafka_offset is 'of its first record in `topic`';

create table manifest.letter_uptake (
    topic_id        text collate "C" not null,
    kafka_partition integer not null,
    next_offset     bigint not null,
    updated_at      timestamptz not null default clock_timestamp(),
    constraint letter_uptake_pkey primary key (topic_id, kafka_partition),
    constraint letter_uptake_offset_is_positive check (next_offset >= 0)
);
comment on table manifest.letter_uptake is
    'up to which offset of dlq.failed_events letters of edges are taken up; moved in the transaction of the letters';

create table ledger.letter_decision (
    decision_id  uuid not null,
    letter_id    text collate "C" not null,
    decision_no  integer not null,
    kind         text not null,
    try_no       integer,
    is_forced    boolean not null default false,
    changes      jsonb,
    topic        text collate "C",
    record_key   bytea,
    record_value bytea,
    record_headers jsonb not null default '[]',
    decided_by   text not null,
    reason       text not null,
    decided_at   timestamptz not null default clock_timestamp(),
    constraint letter_decision_pkey primary key (decision_id),
    constraint letter_decision_is_numbered unique (letter_id, decision_no),
    constraint letter_decision_one_try_at_a_time unique (letter_id, try_no),
    constraint letter_decision_number_is_positive check (decision_no >= 1),
    constraint letter_decision_kind_is_known check (kind in ('replay', 'discard')),
    constraint letter_decision_replay_has_a_try
        check ((kind = 'replay') = (try_no is not null) and (kind = 'replay') = (topic is not null)),
    constraint letter_decision_says_who_and_why check (btrim(decided_by) <> '' and btrim(reason) <> '')
);
comment on table ledger.letter_decision is 'what somebody decided on a dead letter, and why; a replay may be sent from the moment its row is committed';
comment on column ledger.letter_decision.changes is 'fields that were given other values; null: the same bytes again';
comment on column ledger.letter_decision.record_value is 'the value that is sent, exactly';
comment on column ledger.letter_decision.is_forced is 'against a rule that would have refused it, such as the number of tries';

create table ledger.letter_sending (
    decision_id       uuid not null,
    topic             text collate "C" not null,
    topic_incarnation smallint not null,
    kafka_partition   integer not null,
    kafka_offset      bigint not null,
    sent_at           timestamptz not null default clock_timestamp(),
    constraint letter_sending_pkey primary key (decision_id),
    constraint letter_sending_is_decided foreign key (decision_id) references ledger.letter_decision
);
comment on table ledger.letter_sending is 'replays that Kafka has acknowledged, and where it put them';

-- A record that was sent again and refused again bears the decision in its headers.
create index dead_letter_returned on ledger.dead_letter (
    left(jsonb_path_query_first(record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72)
) where left(jsonb_path_query_first(record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72)
    is not null;

-- Every letter once, with its latest judgement and what has become of it: open, replayed (sent again or about to be,
-- not judged yet), landed, discarded. All of it follows from what is there; no row says it.
create view ledger.letter as
with letter as (
    select
        d.topic || case when d.topic_incarnation = 0 then '' else '~' || d.topic_incarnation::text end
            || ':' || d.kafka_partition::text || ':' || d.kafka_offset::text as letter_id,
        d.fate, d.stream, d.topic as source, d.kafka_partition::text || ':' || d.kafka_offset::text as coordinates,
        d.batch_id, d.reason_code, d.reason, d.field, d.offending_value, d.valid_values, d.event_id, d.schema_id,
        null::text as content_type, d.appended_at as happened_at, d.record_key, d.record_value, d.record_headers,
        d.topic, d.kafka_offset, d.recorded_at
    from ledger.dead_letter d
    where not exists (
        select from ledger.letter_decision c
        where encode(convert_to(c.decision_id::text, 'UTF8'), 'hex')
            = left(jsonb_path_query_first(d.record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72))
    union all
    select
        e.letter_id, 'edge', e.stream, e.source, e.coordinates, null, e.reason_code, e.reason, e.field,
        e.offending_value, e.valid_values, null, null, e.content_type, e.received_at, e.record_key, e.record_value,
        e.record_headers, e.topic, e.kafka_offset, e.recorded_at
    from ledger.edge_letter e
),
latest as (
    select distinct on (c.letter_id)
        c.letter_id, c.decision_id, c.decision_no, c.kind, c.decided_by, c.decided_at,
        count(*) filter (where c.kind = 'replay') over (partition by c.letter_id) as tries
    from ledger.letter_decision c
    order by c.letter_id, c.decision_no desc
),
returned as (
    select distinct on (c.letter_id)
        c.letter_id, c.decision_no, d.fate, d.batch_id, d.reason_code, d.reason, d.field, d.offending_value,
        d.valid_values, d.event_id, d.schema_id, d.record_key, d.record_value, d.record_headers, d.topic,
        d.topic_incarnation, d.kafka_partition, d.kafka_offset
    from ledger.dead_letter d
    join ledger.letter_decision c
      on encode(convert_to(c.decision_id::text, 'UTF8'), 'hex')
       = left(jsonb_path_query_first(d.record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72)
    where left(jsonb_path_query_first(d.record_headers, 'strict $[*] ? (@[0] == "carbon.decision") [1]', '{}', true) #>> '{}', 72)
        is not null
    order by c.letter_id, c.decision_no desc, d.kafka_offset desc
)
select
    l.letter_id,
    case when l.fate = 'edge' then 'edge' else 'record' end as kind,
    l.source, l.coordinates, l.stream, l.happened_at, l.recorded_at, l.content_type, l.topic, l.kafka_offset,
    l.reason_code as first_reason_code,
    l.batch_id as first_batch_id,
    -- The latest judgement, and the bytes it was made of.
    coalesce(r.fate, l.fate) as fate,
    coalesce(r.batch_id, l.batch_id) as batch_id,
    coalesce(r.reason_code, l.reason_code) as reason_code,
    coalesce(r.reason, l.reason) as reason,
    case when r.letter_id is null then l.field else r.field end as field,
    case when r.letter_id is null then l.offending_value else r.offending_value end as offending_value,
    case when r.letter_id is null then l.valid_values else r.valid_values end as valid_values,
    case when r.letter_id is null then l.event_id else r.event_id end as event_id,
    case when r.letter_id is null then l.schema_id else r.schema_id end as schema_id,
    case when r.letter_id is null then l.record_key else r.record_key end as record_key,
    case when r.letter_id is null then l.record_value else r.record_value end as record_value,
    case when r.letter_id is null then l.record_headers else r.record_headers end as record_headers,
    case when l.fate = 'edge' then r.topic else l.topic end as raw_topic,
    coalesce(t.tries, 0)::integer as tries,
    t.decision_id,
    t.decided_by,
    t.decided_at,
    s.sent_at,
    case
        when t.kind is null then 'open'
        when t.kind = 'discard' then 'discarded'
        when s.decision_id is not null
            -- The accounts have read past it, and it was not refused: it is ledgered, or was already.
            and coalesce((
                select p.end_offset > s.kafka_offset
                from ledger.batch_part p
                where p.topic = s.topic and p.topic_incarnation = s.topic_incarnation
                  and p.kafka_partition = s.kafka_partition and p.start_offset <= s.kafka_offset
                order by p.start_offset desc
                limit 1), false)
            and not exists (
                select from ledger.dead_letter d
                where d.topic = s.topic and d.topic_incarnation = s.topic_incarnation
                  and d.kafka_partition = s.kafka_partition and d.kafka_offset = s.kafka_offset)
            then 'landed'
        when r.decision_no = t.decision_no then 'open'
        else 'replayed'
    end as state
from letter l
left join latest t on t.letter_id = l.letter_id
left join returned r on r.letter_id = l.letter_id
left join ledger.letter_sending s on s.decision_id = t.decision_id;
comment on view ledger.letter is 'every dead letter once, of raw records and of edges, with its latest judgement and its state';

select ledger.make_append_only(t) from unnest(array[
    'ledger.edge_letter', 'ledger.letter_decision', 'ledger.letter_sending'
]::regclass[]) as t;
select ledger.protect(t) from unnest(array[
    'ledger.edge_letter', 'ledger.letter_decision', 'ledger.letter'
]::regclass[]) as t;
grant select on ledger.edge_letter, ledger.letter_decision, ledger.letter_sending, ledger.letter
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant insert on ledger.edge_letter, ledger.letter_decision, ledger.letter_sending to carbon_writer;
grant select on manifest.letter_uptake to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert, update on manifest.letter_uptake to carbon_writer;
