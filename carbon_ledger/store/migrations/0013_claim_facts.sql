-- Which entries of purchases and of suppliers' declarations have been taken into claims, and how each fact stands.
--
-- Both tables tell what carbon_ledger/claims has decided; the figures themselves are entries like all others.

create table ledger.claim_entry (
    entry_id       uuid not null,
    activity_month date not null,
    claim          text collate "C",
    taken_at       timestamptz not null,
    constraint claim_entry_pkey primary key (entry_id)
);
comment on table ledger.claim_entry is
    'entries that supersession has looked at, reversals and its own postings included; the others wait for it';
comment on column ledger.claim_entry.claim is 'the claim the line is in; null: in none, such as evidence and transport';
create index claim_entry_by_claim on ledger.claim_entry (claim) where claim is not null;

create table ledger.claim_standing (
    claim          text collate "C" not null,
    fact_id        text collate "C" not null,
    line_no        smallint not null,
    decided_at     timestamptz not null,
    revision       integer not null,
    role           text not null,
    share          text not null,
    flags          text not null,
    entry_id       uuid,
    activity_month date,
    whole_entry_id uuid,
    whole_month    date,
    cause          text not null,
    constraint claim_standing_pkey primary key (claim, fact_id, line_no, decided_at),
    constraint claim_standing_role_is_known check (role in (
        'counts', 'covered', 'outranked', 'not_admitted', 'quarantined', 'retracted', 'left', 'held', 'released')),
    constraint claim_standing_share_is_a_fraction check (share ~ '^[0-9]+/[1-9][0-9]*$'),
    constraint claim_standing_entry_is_whole check (
        num_nulls(entry_id, activity_month, whole_entry_id, whole_month) in (0, 4))
);
comment on table ledger.claim_standing is
    'how each fact of a claim stands since decided_at; the newest row of a fact and line is what holds';
comment on column ledger.claim_standing.fact_id is 'the fact, such as purchase:INV-1/1@2025-03; empty: the claim as a whole';
comment on column ledger.claim_standing.share is 'exact share of the figure that counts, n/d';
comment on column ledger.claim_standing.entry_id is 'the entry that stands for it in the ledger';
comment on column ledger.claim_standing.whole_entry_id is 'the entry that has the whole figure, of which this is a share';
comment on column ledger.claim_standing.cause is 'the fact that made it necessary, or why the claim is held';
create index claim_standing_by_entry on ledger.claim_standing (entry_id) where entry_id is not null;
create index claim_standing_held on ledger.claim_standing (claim) where fact_id = '';

-- What waits is found by these entries alone, whatever else the ledger holds.
create index entry_of_claims on ledger.entry (entry_id) where stream in ('procurement', 'supplier');

select ledger.make_append_only(t) from unnest(array['ledger.claim_entry', 'ledger.claim_standing']::regclass[]) as t;
select ledger.protect(t) from unnest(array['ledger.claim_entry', 'ledger.claim_standing']::regclass[]) as t;
grant select on ledger.claim_entry, ledger.claim_standing
    to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert on ledger.claim_entry, ledger.claim_standing to carbon_writer;
