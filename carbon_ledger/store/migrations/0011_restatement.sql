-- Restatement: what a change of factors, potentials, boundary or method would move, who agreed, what was posted.

create sequence ledger.restatement_number as bigint;

create table ledger.restatement (
    restatement_id        bigint not null,
    from_releases         text not null,
    to_release            text collate "C" references factors.release,
    gwp_set               text,
    reference_as_of       timestamptz,
    max_vintage_gap_years smallint,
    recompute             boolean not null,
    first_date            date not null,
    end_date              date not null,
    base_year             integer,
    code_version          text not null,
    known_at              timestamptz not null,
    entries               integer not null,
    delta_kgco2e          numeric(38, 12) not null,
    digest                bytea not null,
    summary               jsonb not null,
    previewed_by          text not null,
    reason                text not null,
    previewed_at          timestamptz not null default clock_timestamp(),
    constraint restatement_pkey primary key (restatement_id),
    constraint restatement_digest_is_32_bytes check (octet_length(digest) = 32),
    constraint restatement_moves_something check (entries > 0),
    constraint restatement_changes_something check (
        num_nonnulls(to_release, gwp_set, reference_as_of, max_vintage_gap_years) > 0 or recompute),
    constraint restatement_span_is_forward check (first_date < end_date),
    constraint restatement_has_a_name check (btrim(previewed_by) <> '' and btrim(reason) <> '')
);
comment on table ledger.restatement is 'previews: what would be restated, why, and what it comes to; the row never changes';
comment on column ledger.restatement.known_at is 'entries recorded later are not part of it';
comment on column ledger.restatement.first_date is 'local dates [first_date, end_date) it looks at';
comment on column ledger.restatement.recompute is 'entries that an earlier version of the code posted are recomputed too';
comment on column ledger.restatement.digest is
    'SHA-256 of the digests of its months, see carbon_ledger/restatement.py; what is approved is exactly this';

create table ledger.restatement_month (
    restatement_id bigint not null references ledger.restatement,
    activity_month date not null,
    entries        integer not null,
    delta_kgco2e   numeric(38, 12) not null,
    digest         bytea not null,
    constraint restatement_month_pkey primary key (restatement_id, activity_month),
    constraint restatement_month_digest_is_32_bytes check (octet_length(digest) = 32),
    constraint restatement_month_moves_something check (entries > 0)
);
comment on table ledger.restatement_month is 'a preview by month of activity, each posted in a transaction of its own';

create table ledger.restatement_line (
    restatement_id        bigint not null,
    activity_month        date not null,
    entry_id              uuid,
    new_entry_id          uuid,
    new_month             date,
    new_event_id          text collate "C",
    line_no               smallint not null,
    delta_kgco2e          numeric(38, 12) not null,
    delta_factor_release  numeric(38, 12) not null,
    delta_gwp_set         numeric(38, 12) not null,
    delta_boundary        numeric(38, 12) not null,
    delta_method          numeric(38, 12) not null,
    delta_kg_co2_fossil   numeric(38, 12) not null,
    delta_kg_co2_biogenic numeric(38, 12) not null,
    delta_kg_ch4          numeric(38, 12) not null,
    delta_kg_n2o          numeric(38, 12) not null,
    policy_gwp_set        text not null,
    policy_vintage_gap    smallint not null,
    reference_known_at    timestamptz not null,
    constraint restatement_line_month foreign key (restatement_id, activity_month)
        references ledger.restatement_month,
    constraint restatement_line_once unique (restatement_id, entry_id),
    constraint restatement_line_has_a_side check (entry_id is not null or new_entry_id is not null),
    constraint restatement_line_new_is_whole check (
        (new_entry_id is null) = (new_event_id is null) and (new_entry_id is null) = (new_month is null)),
    constraint restatement_line_steps_add_up check (
        delta_kgco2e = delta_factor_release + delta_gwp_set + delta_boundary + delta_method)
);
create index restatement_line_month on ledger.restatement_line (restatement_id, activity_month);
create index restatement_line_new on ledger.restatement_line (new_entry_id);
comment on table ledger.restatement_line is
    'one line of a preview: the entry that would be taken back, the one that would be posted, and the difference by cause';
comment on column ledger.restatement_line.entry_id is 'null: a line the new rules add';
comment on column ledger.restatement_line.new_entry_id is 'null: a line the new rules do without';
comment on column ledger.restatement_line.policy_gwp_set is 'rules of the new entry, for whoever computes it again';
comment on column ledger.restatement_line.reference_known_at is 'reference data of the new entry are as known then';

create table ledger.restatement_approval (
    restatement_id bigint not null references ledger.restatement,
    approved_by    text not null,
    reason         text not null,
    digest         bytea not null,
    approved_at    timestamptz not null default clock_timestamp(),
    constraint restatement_approval_has_a_name check (btrim(approved_by) <> '' and btrim(reason) <> '')
);
create unique index restatement_approval_each_person_once
    on ledger.restatement_approval (restatement_id, lower(btrim(approved_by)));
comment on table ledger.restatement_approval is 'who agreed to exactly which preview; two different people are needed';

create table ledger.restatement_posting (
    restatement_id bigint not null,
    activity_month date not null,
    recorded_at    timestamptz not null,
    entries        integer not null,
    delta_kgco2e   numeric(38, 12) not null,
    digest         bytea not null,
    posted_by      text not null,
    constraint restatement_posting_pkey primary key (restatement_id, activity_month),
    constraint restatement_posting_is_of_a_month foreign key (restatement_id, activity_month)
        references ledger.restatement_month,
    constraint restatement_posting_has_a_name check (btrim(posted_by) <> '')
);
comment on table ledger.restatement_posting is 'the months of a restatement that are posted, each once';

-- An approval is of the digest that is there; a posting is of what two people approved, and equals its preview.
create function ledger.check_restatement_approval() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (
        select from ledger.restatement r where r.restatement_id = new.restatement_id and r.digest = new.digest
    ) then
        raise exception 'approval of restatement % is of another digest', new.restatement_id
            using errcode = 'check_violation', constraint = 'restatement_approval_is_of_the_digest';
    end if;
    return null;
end
$$;
create trigger check_approval after insert on ledger.restatement_approval
    for each row execute function ledger.check_restatement_approval();

create function ledger.check_restatement_posting() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if (select count(distinct lower(btrim(a.approved_by)))
        from ledger.restatement_approval a
        join ledger.restatement r on r.restatement_id = a.restatement_id and r.digest = a.digest
        where a.restatement_id = new.restatement_id) < 2 then
        raise exception 'restatement % is not approved by two people', new.restatement_id
            using errcode = 'check_violation', constraint = 'restatement_posting_is_approved';
    end if;
    if not exists (
        select from ledger.restatement_month m
        where m.restatement_id = new.restatement_id and m.activity_month = new.activity_month
          and m.entries = new.entries and m.delta_kgco2e = new.delta_kgco2e and m.digest = new.digest
    ) then
        raise exception 'posting of restatement %, %, is not what was previewed', new.restatement_id, new.activity_month
            using errcode = 'check_violation', constraint = 'restatement_posting_is_the_preview';
    end if;
    return null;
end
$$;
create trigger check_posting after insert on ledger.restatement_posting
    for each row execute function ledger.check_restatement_posting();

select ledger.make_append_only(t) from unnest(array[
    'ledger.restatement', 'ledger.restatement_month', 'ledger.restatement_line', 'ledger.restatement_approval',
    'ledger.restatement_posting'
]::regclass[]) as t;

-- Not to the reader: a preview speaks of every organization at once.
grant select on ledger.restatement, ledger.restatement_month, ledger.restatement_line, ledger.restatement_approval,
    ledger.restatement_posting
    to carbon_writer, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert on ledger.restatement, ledger.restatement_month, ledger.restatement_line, ledger.restatement_approval,
    ledger.restatement_posting to carbon_writer;
grant usage on sequence ledger.restatement_number to carbon_writer;
