-- Persons: pseudonyms, their keys, and erasing them. Nothing here names anybody.
--
-- A person's key is kept wrapped; what it takes to open it is outside the database (the vault's key, and a
-- secret per person). subject_key is the one table of this database that rows are deleted from: by one
-- function, which writes the erasure in the same transaction.

do $$
begin
    if not exists (select from pg_roles where rolname = 'carbon_vault') then
        create role carbon_vault nologin;
    end if;
end
$$;

create schema personal;
comment on schema personal is 'pseudonyms of persons, their wrapped keys, and whose key was destroyed';
revoke all on schema personal from public;

create table personal.subject (
    subject_ref     text collate "C" not null,
    organization_id text collate "C" not null,
    created_at      timestamptz not null default now(),
    constraint subject_pkey primary key (subject_ref),
    constraint subject_ref_is_a_pseudonym check (subject_ref ~ '^s_[a-z2-7]{26}$')
);
comment on table personal.subject is 'every pseudonym ever given; outlives the person''s key, and says nothing of the person';

create table personal.subject_key (
    subject_ref text collate "C" not null references personal.subject,
    lookup      bytea not null,
    wrapped_key bytea not null,
    key_id      text not null,
    created_at  timestamptz not null default now(),
    constraint subject_key_pkey primary key (subject_ref),
    constraint subject_key_is_one_per_source unique (lookup),
    constraint subject_key_lookup_is_32_bytes check (octet_length(lookup) = 32)
);
comment on table personal.subject_key is 'what opens a person''s records, and how the person is found; deleted when erased';
comment on column personal.subject_key.lookup is
    'HMAC-SHA-256, under the vault''s key, of the organization and the source''s own id of the person';
comment on column personal.subject_key.wrapped_key is 'AES-256-GCM under the vault''s key and the person''s secret, both outside the database';
comment on column personal.subject_key.key_id is 'which vault key wrapped it';

create table personal.erasure (
    subject_ref text collate "C" not null references personal.subject,
    erased_at   timestamptz not null,
    erased_by   text not null,
    reason      text not null,
    recorded_at timestamptz not null default now(),
    constraint erasure_pkey primary key (subject_ref),
    constraint erasure_has_a_reason check (reason ~ '\S' and erased_by ~ '\S')
);
comment on table personal.erasure is 'whose key was destroyed, when, by whom and why; final';

select ledger.make_append_only(t) from unnest(array['personal.subject', 'personal.erasure']::regclass[]) as t;

-- Holds for the owner too: no key is changed, none goes without its erasure, none comes back after it.
create function personal.guard_key() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    subject text := case when tg_op = 'DELETE' then old.subject_ref else new.subject_ref end;
    is_erased boolean;
begin
    if tg_op = 'INSERT' then
        -- Waits for an erasure under way, and keeps one from starting.
        perform pg_advisory_xact_lock(7212, hashtext(subject));
    end if;
    is_erased := exists (select from personal.erasure e where e.subject_ref = subject);
    if tg_op = 'UPDATE' or (tg_op = 'DELETE') <> is_erased then
        raise exception '% of the key of % refused: a key is made once and goes with its erasure', tg_op, subject
            using errcode = 'insufficient_privilege';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end
$$;
create trigger guard_key before insert or update or delete on personal.subject_key
    for each row execute function personal.guard_key();
create trigger refuse_truncate before truncate on personal.subject_key
    for each statement execute function ledger.refuse_change();

-- Destroys the person's key and how the person is found; whether there was a key. The erasure is written in
-- the same transaction, once. Raises foreign_key_violation for an unknown pseudonym.
create function personal.erase_subject(subject text, moment timestamptz, decided_by text, why text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(7212, hashtext(subject));
    insert into personal.erasure (subject_ref, erased_at, erased_by, reason)
    values (subject, moment, decided_by, why) on conflict (subject_ref) do nothing;
    delete from personal.subject_key k where k.subject_ref = subject;
    return found;
end
$$;

-- Nobody but the vault, and the auditor only what tells nothing of a key.
do $$
declare
    target regclass;
begin
    foreach target in array array['personal.subject', 'personal.subject_key', 'personal.erasure']::regclass[] loop
        execute format('alter table %s enable row level security, force row level security', target);
        execute format(
            'create policy everything on %s for all to carbon_owner, carbon_vault using (true) with check (true)', target);
        if target <> 'personal.subject_key'::regclass then
            execute format('create policy read_everything on %s for select to carbon_auditor using (true)', target);
        end if;
    end loop;
end
$$;
revoke execute on all functions in schema personal from public;
grant usage on schema personal to carbon_vault, carbon_auditor;
grant select, insert on personal.subject, personal.subject_key to carbon_vault;
grant select on personal.erasure to carbon_vault;
grant select on personal.subject, personal.erasure to carbon_auditor;
grant execute on function personal.erase_subject(text, timestamptz, text, text) to carbon_vault;
