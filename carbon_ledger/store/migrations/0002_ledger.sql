-- The ledger: entries by month of activity, identities, reversals, dead letters, accounts.

create table ledger.entry (
    organization_id    text collate "C" not null,
    entry_id           uuid not null,
    event_id           text collate "C" not null,
    line_no            smallint not null,
    activity_ref       text collate "C" not null,
    claim_key          text collate "C" not null,
    stream             text not null,
    activity_month     date not null,
    local_date         date not null,
    occurred_from      timestamptz not null,
    occurred_to        timestamptz not null,
    recorded_at        timestamptz not null,
    scope              smallint not null,
    category           smallint,
    basis              text not null,
    facility_id        text not null,
    source_ref         text not null,
    country_iso2       text not null,
    region             text,
    activity_type      text not null,
    quantity           numeric not null,
    unit               text not null,
    kgco2e             numeric(38, 12) not null,
    gas_split          text not null,
    kg_co2_fossil      numeric(38, 12),
    kg_co2_biogenic    numeric(38, 12),
    kg_ch4             numeric(38, 12),
    kg_n2o             numeric(38, 12),
    other_gases        jsonb,
    gwp_set            text not null,
    kgco2e_granular    numeric(38, 12),
    factor_id          text not null,
    factor_version     integer not null,
    factor_release     text not null,
    factor_match       text not null,
    vintage_gap_years  smallint,
    flags              text not null default '',
    formula_id         text not null,
    reverses_id        uuid,
    cause              text,
    subject_ref        text,
    payload_sha256     bytea not null,
    schema_sha256      bytea not null,
    content_sha256     bytea not null,
    code_version       text not null,
    batch_id           bigint,
    topic              text,
    topic_incarnation  smallint,
    kafka_partition    integer,
    kafka_offset       bigint,
    constraint entry_pkey primary key (activity_month, entry_id),
    constraint entry_month_is_first_of_month check (extract(day from activity_month) = 1),
    constraint entry_month_holds_local_date
        check (local_date >= activity_month and local_date < activity_month + interval '1 month'),
    constraint entry_interval_is_forward check (occurred_from <= occurred_to),
    constraint entry_scope_is_known check (scope between 1 and 3),
    constraint entry_category_only_in_scope_3
        check ((scope = 3) = (category is not null) and (category is null or category between 1 and 15)),
    constraint entry_reversal_has_cause check (reverses_id is null or cause is not null),
    constraint entry_hashes_are_32_bytes
        check (octet_length(payload_sha256) = 32 and octet_length(schema_sha256) = 32
               and octet_length(content_sha256) = 32)
) partition by range (activity_month);

comment on table ledger.entry is 'one line of the ledger; never changed, never deleted';
comment on column ledger.entry.entry_id is
    'RFC 9562 UUID version 8: milliseconds of occurred_to, then SHA-256 bits of event_id and line; the same on every rebuild';
comment on column ledger.entry.event_id is 'natural key of the activity, #, revision';
comment on column ledger.entry.activity_ref is 'natural key of the activity, without revision';
comment on column ledger.entry.claim_key is 'what may be claimed once: activity, scope, category, basis';
comment on column ledger.entry.activity_month is 'first day of the month, in the site''s calendar, that holds occurred_from';
comment on column ledger.entry.local_date is 'the site''s date at occurred_from';
comment on column ledger.entry.recorded_at is 'when this became known: ledger.begin_writing() of the writing transaction';
comment on column ledger.entry.quantity is 'activity in `unit`, exactly as sent';
comment on column ledger.entry.kgco2e is 'kgCO2e, rounded once, half-even, to 12 decimals';
comment on column ledger.entry.kgco2e_granular is
    'kgCO2e by the intensity the event itself carried; analytic, never the official figure';
comment on column ledger.entry.flags is 'comma-separated remarks on how the figure came about, sorted';
comment on column ledger.entry.topic_incarnation is
    'how many topics of this name came before the one the record was read from: offsets start anew in each';
comment on column ledger.entry.content_sha256 is 'SHA-256 of the entry''s canonical bytes, see carbon_ledger/entries.py';

-- Makes the partition of a month; the writer may call it, and can make nothing else. Call it in a transaction
-- of its own, before the one that inserts: its lock is held to the end of the transaction.
create function ledger.ensure_month(month date) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    first_day date := date_trunc('month', month)::date;
    part text := 'entry_' || to_char(month, 'YYYY_MM');
    -- A calendar may be a day ahead of UTC.
    last_month date := (date_trunc('month', now() at time zone 'UTC' + interval '1 day') + interval '1 month')::date;
begin
    if first_day < date '2000-01-01' or first_day > last_month then
        raise exception 'month % is outside the ledger: valid are 2000-01 to the month after this one', to_char(month, 'YYYY-MM')
            using errcode = 'check_violation', constraint = 'month_is_in_the_ledger';
    end if;
    if to_regclass('ledger.' || part) is not null then
        return false;
    end if;
    perform pg_advisory_xact_lock(hashtext('ledger.ensure_month'));
    -- Read from the catalogue itself: to_regclass would repeat the `no` that it remembers from before the wait.
    if exists (
        select from pg_class c
        where c.relnamespace = 'ledger'::regnamespace and c.relname = part
    ) then
        return false;
    end if;
    execute format('create table ledger.%I (like ledger.entry including defaults including constraints including comments)', part);
    execute format('alter table ledger.%I add constraint in_month check (activity_month = %L)', part, first_day);
    execute format(
        'create trigger refuse_truncate before truncate on ledger.%I '
        'for each statement execute function ledger.refuse_change()', part);
    execute format(
        'alter table ledger.entry attach partition ledger.%I for values from (%L) to (%L)',
        part, first_day, (first_day + interval '1 month')::date);
    return true;
end
$$;
revoke execute on function ledger.ensure_month(date) from public;
grant execute on function ledger.ensure_month(date) to carbon_writer;

create table ledger.event_identity (
    event_id       text collate "C" not null,
    payload_sha256 bytea not null,
    entry_month    date not null,
    entry_id       uuid not null,
    constraint event_identity_pkey primary key (event_id)
);
comment on table ledger.event_identity is
    'every event the ledger has ever taken, once; spans all months, as no key of a partitioned table can';
comment on column ledger.event_identity.entry_id is 'the event''s first line';

create table ledger.reversal (
    entry_id          uuid not null,
    reversal_entry_id uuid not null,
    activity_month    date not null,
    recorded_at       timestamptz not null,
    constraint reversal_pkey primary key (entry_id),
    constraint reversal_entry_is_one_reversal unique (reversal_entry_id)
);
comment on table ledger.reversal is 'which entry was taken back by which; an entry can be taken back once';

-- A reversal is the exact negative of an entry that exists, is none itself and has not been reversed. What
-- windows and reports group by must be the same on both, or the two would not cancel out there.
create function ledger.check_reversal() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    original ledger.entry;
begin
    select * into original from ledger.entry e
    where e.activity_month = new.activity_month and e.entry_id = new.reverses_id;
    if not found then
        raise exception 'entry % of month % to be reversed does not exist', new.reverses_id, new.activity_month
            using errcode = 'foreign_key_violation', constraint = 'reversal_names_an_entry';
    end if;
    if original.reverses_id is not null then
        raise exception 'entry % is itself a reversal and cannot be reversed; post a new entry', new.reverses_id
            using errcode = 'check_violation', constraint = 'reversal_is_not_of_a_reversal';
    end if;
    if new.recorded_at < original.recorded_at
       or (new.organization_id, new.event_id, new.line_no, new.claim_key, new.stream, new.local_date,
           new.occurred_from, new.occurred_to, new.scope, new.category, new.basis, new.facility_id, new.country_iso2,
           new.region, new.activity_type, new.unit, new.gas_split, new.gwp_set, new.factor_id, new.factor_version,
           new.factor_release, new.flags,
           -new.quantity, -new.kgco2e, -new.kg_co2_fossil, -new.kg_co2_biogenic, -new.kg_ch4, -new.kg_n2o,
           -new.kgco2e_granular)
          is distinct from
          (original.organization_id, original.event_id, original.line_no, original.claim_key, original.stream, original.local_date,
           original.occurred_from, original.occurred_to, original.scope, original.category, original.basis, original.facility_id, original.country_iso2,
           original.region, original.activity_type, original.unit, original.gas_split, original.gwp_set, original.factor_id, original.factor_version,
           original.factor_release, original.flags,
           original.quantity, original.kgco2e, original.kg_co2_fossil, original.kg_co2_biogenic, original.kg_ch4, original.kg_n2o,
           original.kgco2e_granular)
       or exists (
           select from jsonb_each_text(coalesce(original.other_gases, '{}')) a
           full join jsonb_each_text(coalesce(new.other_gases, '{}')) b using (key)
           where a.value::numeric + b.value::numeric is distinct from 0
       )
    then
        raise exception 'reversal % is not the negative of entry %', new.entry_id, new.reverses_id
            using errcode = 'check_violation', constraint = 'reversal_is_the_negative';
    end if;
    insert into ledger.reversal (entry_id, reversal_entry_id, activity_month, recorded_at)
    values (new.reverses_id, new.entry_id, new.activity_month, new.recorded_at);
    return null;
end
$$;
create trigger check_reversal after insert on ledger.entry
    for each row when (new.reverses_id is not null) execute function ledger.check_reversal();

create table ledger.batch_part (
    batch_id               bigint not null,
    attempt                integer not null,
    stream                 text not null,
    topic                  text collate "C" not null,
    topic_incarnation      smallint not null default 0,
    kafka_partition        integer not null,
    start_offset           bigint not null,
    end_offset             bigint not null,
    records_read           bigint not null,
    ledgered               bigint not null,
    duplicate              bigint not null,
    dead_lettered          bigint not null,
    quarantined            bigint not null,
    offsets_without_record bigint not null,
    lines                  bigint not null,
    first_appended_at      timestamptz,
    last_appended_at       timestamptz,
    archive_object         text not null,
    archive_sha256         bytea not null,
    archive_bytes          bigint not null,
    factor_release         text not null,
    code_version           text not null,
    recorded_at            timestamptz not null default now(),
    closed_at              timestamptz not null default clock_timestamp(),
    constraint batch_part_pkey primary key (topic, topic_incarnation, kafka_partition, start_offset),
    constraint batch_part_is_a_range check (start_offset < end_offset),
    constraint batch_part_counts_are_positive
        check (least(records_read, ledgered, duplicate, dead_lettered, quarantined, offsets_without_record, lines) >= 0),
    constraint every_record_has_one_fate
        check (records_read = ledgered + duplicate + dead_lettered + quarantined),
    constraint every_offset_is_accounted_for
        check (end_offset - start_offset = records_read + offsets_without_record)
);
create index batch_part_batch on ledger.batch_part (batch_id);
comment on column ledger.batch_part.closed_at is
    'just before the commit: what was appended to Kafka at t was in the ledger closed_at - t later';
comment on table ledger.batch_part is
    'the closed account of one Kafka partition''s part of a batch, written in the transaction of its entries';

create table ledger.dead_letter (
    topic             text collate "C" not null,
    topic_incarnation smallint not null default 0,
    kafka_partition   integer not null,
    kafka_offset      bigint not null,
    stream          text not null,
    batch_id        bigint not null,
    fate            text not null,
    reason_code     text not null,
    reason          text not null,
    field           text,
    offending_value text,
    valid_values    text,
    event_id        text,
    schema_id       integer,
    appended_at     timestamptz,
    record_key      bytea,
    record_value    bytea,
    record_headers  jsonb not null default '[]',
    recorded_at     timestamptz not null default now(),
    constraint dead_letter_pkey primary key (topic, topic_incarnation, kafka_partition, kafka_offset),
    constraint dead_letter_fate_is_known check (fate in ('dead_lettered', 'quarantined'))
);
create index dead_letter_reason on ledger.dead_letter (stream, reason_code);
comment on table ledger.dead_letter is
    'records that were not ledgered, with their bytes, where they came from and why; quarantined ones await a decision';

create table ledger.dead_letter_relay (
    topic             text collate "C" not null,
    topic_incarnation smallint not null default 0,
    kafka_partition   integer not null,
    kafka_offset      bigint not null,
    recorded_at     timestamptz not null default now(),
    constraint dead_letter_relay_pkey primary key (topic, topic_incarnation, kafka_partition, kafka_offset),
    constraint dead_letter_relay_is_of_a_letter foreign key (topic, topic_incarnation, kafka_partition, kafka_offset)
        references ledger.dead_letter
);
comment on table ledger.dead_letter_relay is 'dead letters that dlq.failed_events has acknowledged';

create view ledger.iot_energy as
    select * from ledger.entry where stream = 'iot_energy';
comment on view ledger.iot_energy is 'entries of the meter-reading stream';

create view ledger.active_entry as
    select e.* from ledger.entry e
    where e.reverses_id is null
      and not exists (select from ledger.reversal r where r.entry_id = e.entry_id);
comment on view ledger.active_entry is 'entries that stand: neither reversed nor a reversal';

-- What was known at `known_at`. Final for every known_at before ledger.knowledge_horizon().
create function ledger.entries_as_of(known_at timestamptz) returns setof ledger.entry
language sql stable as $$
    select e.* from ledger.entry e where e.recorded_at <= known_at
$$;

-- Every writing transaction calls this first and stamps its rows with the moment it gets back. The shared
-- lock, whose key is the second in which it was asked for, is what knowledge_horizon() sees of a writer
-- that has not committed yet.
create function ledger.begin_writing() returns timestamptz
language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(
        7202, floor(extract(epoch from clock_timestamp() - timestamptz '2000-01-01 00:00:00Z'))::integer);
    return clock_timestamp();
end
$$;

-- The moment up to which as-of answers are final: no writer still under way can add an entry recorded
-- before it. The clock is read before the locks, so a writer that was not seen yet is later than the clock.
create function ledger.knowledge_horizon() returns timestamptz
language plpgsql volatile as $$
declare
    looked_at timestamptz := clock_timestamp();
    oldest integer;
begin
    select min(l.objid::bigint) into oldest
    from pg_locks l
    where l.locktype = 'advisory' and l.classid = 7202 and l.objsubid = 2
      and l.database = (select d.oid from pg_database d where d.datname = current_database());
    return least(
        looked_at,
        timestamptz '2000-01-01 00:00:00Z' + make_interval(secs => oldest)) - interval '1 microsecond';
end
$$;

select ledger.make_append_only(t) from unnest(array[
    'ledger.entry', 'ledger.event_identity', 'ledger.reversal', 'ledger.batch_part',
    'ledger.dead_letter', 'ledger.dead_letter_relay'
]::regclass[]) as t;

grant select on all tables in schema ledger to carbon_writer, carbon_reader;
grant insert on ledger.entry, ledger.event_identity, ledger.batch_part, ledger.dead_letter,
    ledger.dead_letter_relay to carbon_writer;
