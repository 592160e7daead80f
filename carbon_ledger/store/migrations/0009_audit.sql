-- Tamper evidence: which transaction posted which entries, and what was signed of it.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['carbon_sealer', 'carbon_verifier', 'carbon_auditor'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I nologin', role_name);
        end if;
    end loop;
end
$$;

create schema audit;
comment on schema audit is 'what was posted by which commit, sealed in which tree, and signed in which head';

-- Who reads to seal, to verify and to review reads everything that a figure rests on.
grant usage on schema ledger, manifest, factors, reference, windows, reports, audit
    to carbon_sealer, carbon_verifier, carbon_auditor;
grant select on all tables in schema ledger, manifest, factors, reference, windows, reports
    to carbon_sealer, carbon_verifier, carbon_auditor;
grant usage on schema audit to carbon_writer, carbon_reader;

create table audit.commit (
    commit_id         bigint generated always as identity,
    kind              text not null,
    recorded_at       timestamptz not null,
    batch_id          bigint,
    topic             text collate "C",
    topic_incarnation smallint,
    kafka_partition   integer,
    start_offset      bigint,
    entries           integer not null,
    entry_ids         bytea not null,
    content_sha256s   bytea not null,
    constraint commit_pkey primary key (commit_id),
    constraint commit_kind_is_known
        check (kind in ('part', 'correction', 'restatement', 'supersession', 'period')),
    constraint commit_posts_something check (entries > 0),
    constraint commit_lists_every_entry
        check (octet_length(entry_ids) = 16 * entries and octet_length(content_sha256s) = 32 * entries),
    constraint commit_of_a_part_is_of_a_batch
        check ((kind = 'part') = (batch_id is not null)
               and (kind = 'part') = (topic is not null and topic_incarnation is not null
                                      and kafka_partition is not null and start_offset is not null))
);
-- Read in slices, which compressed values do not allow.
alter table audit.commit alter column entry_ids set storage external, alter column content_sha256s set storage external;
create index commit_recorded_at on audit.commit (recorded_at);
create index commit_batch on audit.commit (batch_id) where batch_id is not null;
comment on table audit.commit is
    'what one transaction posted: the ids and content hashes of its entries, written in that very transaction';
comment on column audit.commit.recorded_at is 'recorded_at of each of its entries';
comment on column audit.commit.entry_ids is 'ids of the entries, 16 bytes each, in the order in which they are sealed';
comment on column audit.commit.content_sha256s is 'content_sha256 of the entries, 32 bytes each, in the same order';

select ledger.make_append_only('audit.commit');
grant select on audit.commit to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert on audit.commit to carbon_writer;

-- What was posted before commits were listed is listed now, so that it can be sealed.
insert into audit.commit
    (kind, recorded_at, batch_id, topic, topic_incarnation, kafka_partition, start_offset, entries, entry_ids, content_sha256s)
select 'part', e.recorded_at, p.batch_id, p.topic, p.topic_incarnation, p.kafka_partition, p.start_offset, count(*),
       string_agg(uuid_send(e.entry_id), '' order by e.kafka_offset, e.line_no, e.entry_id),
       string_agg(e.content_sha256, '' order by e.kafka_offset, e.line_no, e.entry_id)
from ledger.entry e
join ledger.batch_part p using (batch_id, topic, topic_incarnation, kafka_partition)
where e.kafka_offset >= p.start_offset and e.kafka_offset < p.end_offset
group by e.recorded_at, p.batch_id, p.topic, p.topic_incarnation, p.kafka_partition, p.start_offset
order by p.batch_id, p.topic, p.topic_incarnation, p.kafka_partition, p.start_offset;
insert into audit.commit (kind, recorded_at, entries, entry_ids, content_sha256s)
select 'correction', e.recorded_at, count(*),
       string_agg(uuid_send(e.entry_id), '' order by e.entry_id), string_agg(e.content_sha256, '' order by e.entry_id)
from ledger.entry e
where e.batch_id is null
group by e.recorded_at
order by e.recorded_at;

-- One row per sealed batch, or per commit that is of no batch. The tree (RFC 6962, 2.1) is one for all seals: its
-- leaves are the content hashes of the entries, each seal appends its own.
create table audit.seal (
    seal_no        bigint not null,
    batch_id       bigint,
    first_leaf     bigint not null,
    leaves         integer not null,
    tree_size      bigint not null,
    batch_root     bytea not null,
    tree_root      bytea not null,
    complete_until timestamptz not null,
    sealed_at      timestamptz not null default clock_timestamp(),
    prev_seal_no   bigint generated always as (nullif(seal_no - 1, 0)) stored,
    prev_tree_size bigint generated always as (nullif(first_leaf, 0)) stored,
    constraint seal_pkey primary key (seal_no),
    constraint seal_first_leaf_is_sealed_once unique (first_leaf),
    constraint seal_tree_size_is_sealed_once unique (tree_size),
    constraint seal_has_one_root unique (seal_no, tree_size, tree_root),
    constraint seal_is_one_tree unique (seal_no, tree_size),
    constraint seal_follows_the_last foreign key (prev_seal_no, prev_tree_size) references audit.seal (seal_no, tree_size),
    constraint seal_begins_the_tree check ((seal_no = 1) = (first_leaf = 0) and seal_no >= 1 and first_leaf >= 0),
    constraint seal_appends check (leaves > 0 and tree_size = first_leaf + leaves),
    constraint seal_roots_are_32_bytes check (octet_length(batch_root) = 32 and octet_length(tree_root) = 32)
);
comment on table audit.seal is 'what was appended to the tree, dense and without a fork: each seal follows the one before';
comment on column audit.seal.seal_no is 'dense, from 1';
comment on column audit.seal.batch_id is 'the batch all of whose parts these are; empty for a commit of no batch';
comment on column audit.seal.first_leaf is 'number of its first leaf in the tree, from 0';
comment on column audit.seal.batch_root is 'root of the tree over the leaves of this seal alone';
comment on column audit.seal.tree_root is 'root of the whole tree after it';
comment on column audit.seal.complete_until is
    'no commit recorded earlier was unsealed after this; a sealer need not look further back, clocks permitting';

create table audit.seal_commit (
    seal_no    bigint not null references audit.seal,
    commit_id  bigint not null references audit.commit,
    position   integer not null,
    first_leaf bigint not null,
    entries    integer not null,
    constraint seal_commit_pkey primary key (seal_no, position),
    constraint seal_commit_is_sealed_once unique (commit_id),
    constraint seal_commit_has_its_own_leaves unique (first_leaf),
    constraint seal_commit_is_counted check (position >= 0 and first_leaf >= 0 and entries > 0)
);
comment on table audit.seal_commit is 'the commits of a seal, in the order of their leaves';
comment on column audit.seal_commit.position is 'place in the seal, from 0: by topic, incarnation, partition, offset';
comment on column audit.seal_commit.first_leaf is 'number of the leaf of its first entry in the tree';

create table audit.node (
    level smallint not null,
    index bigint not null,
    hash  bytea not null,
    constraint node_pkey primary key (level, index),
    constraint node_level_is_stored check (level in (8, 16, 24, 32, 40) and index >= 0),
    constraint node_hash_is_32_bytes check (octet_length(hash) = 32)
);
comment on table audit.node is 'roots of complete subtrees of 2^level leaves; number `index` begins at leaf index * 2^level';

create table audit.head (
    tree_size  bigint not null,
    prev_size  bigint,
    seal_no    bigint not null,
    origin     text not null,
    root       bytea not null,
    note       text not null,
    public_key bytea not null,
    signed_at  timestamptz not null default clock_timestamp(),
    constraint head_pkey primary key (tree_size),
    constraint head_is_followed_once unique nulls not distinct (prev_size),
    constraint head_follows_the_last foreign key (prev_size) references audit.head,
    constraint head_is_of_a_seal foreign key (seal_no, tree_size, root) references audit.seal (seal_no, tree_size, tree_root),
    constraint head_grows check (tree_size > coalesce(prev_size, 0)),
    constraint head_key_is_32_bytes check (octet_length(public_key) = 32)
);
comment on table audit.head is 'signed heads of the tree, each following one other: two heads after the same one are refused';
comment on column audit.head.note is 'the signed note (C2SP), as it is published';
comment on column audit.head.public_key is 'Ed25519 key that it verifies with';

create table audit.head_publication (
    tree_size    bigint not null references audit.head,
    place        text not null,
    receipt      text not null,
    published_at timestamptz not null default clock_timestamp(),
    constraint head_publication_pkey primary key (place, tree_size),
    constraint head_publication_place_is_known check (place in ('file', 'kafka', 'witness'))
);
comment on table audit.head_publication is 'which head has left the database, where to, and what was answered';
comment on column audit.head_publication.receipt is
    'file: its name; kafka: partition and offset; witness: its signature line, or which later head it has already';

select ledger.make_append_only(t) from unnest(array[
    'audit.seal', 'audit.seal_commit', 'audit.node', 'audit.head', 'audit.head_publication'
]::regclass[]) as t;
grant select on audit.seal, audit.seal_commit, audit.node, audit.head, audit.head_publication
    to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert on audit.seal, audit.seal_commit, audit.node, audit.head, audit.head_publication to carbon_sealer;
