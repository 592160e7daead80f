-- Who may call the API: keys of organizations and of suppliers, kept as hashes, and which were revoked.
--
-- A key's secret is 256 random bits, so its SHA-256 tells nothing of it. Nothing here is ever changed: a key
-- ends when it expires, or with a row of revocations.

do $$
begin
    if not exists (select from pg_roles where rolname = 'carbon_gate') then
        create role carbon_gate nologin;
    end if;
end
$$;

create schema access;
comment on schema access is 'who may call the API';
revoke all on schema access from public;

create table access.api_key (
    key_id          text collate "C" not null,
    organization_id text collate "C" not null,
    secret_sha256   bytea not null,
    scopes          text[] not null,
    supplier_ids    text[] not null,
    holder          text not null,
    created_at      timestamptz not null default clock_timestamp(),
    created_by      text not null,
    expires_at      timestamptz not null,
    constraint api_key_pkey primary key (key_id),
    constraint api_key_id_is_well_formed check (key_id ~ '^[a-z2-7]{16}$'),
    constraint api_key_secret_is_32_bytes check (octet_length(secret_sha256) = 32),
    constraint api_key_secret_is_new unique (secret_sha256),
    constraint api_key_may_do_something check (cardinality(scopes) > 0),
    constraint api_key_says_who check (holder ~ '\S' and created_by ~ '\S'),
    constraint api_key_expires_later check (expires_at > created_at)
);
comment on table access.api_key is 'keys of callers of the API';
comment on column access.api_key.key_id is 'the part of a key that may be shown, and is written to logs';
comment on column access.api_key.secret_sha256 is 'SHA-256 of the secret part of the key, which is kept nowhere';
comment on column access.api_key.supplier_ids is 'suppliers whose declarations the key may submit; * alone: any';
comment on column access.api_key.holder is 'whose key it is, as whoever made it wrote it';

create table access.api_key_revocation (
    key_id     text collate "C" not null references access.api_key,
    revoked_at timestamptz not null default clock_timestamp(),
    revoked_by text not null,
    reason     text not null,
    constraint api_key_revocation_pkey primary key (key_id),
    constraint api_key_revocation_says_who_and_why check (revoked_by ~ '\S' and reason ~ '\S')
);
comment on table access.api_key_revocation is 'keys that no longer open anything, since when, by whom and why; final';

select ledger.make_append_only(t) from unnest(array['access.api_key', 'access.api_key_revocation']::regclass[]) as t;

do $$
declare
    target regclass;
begin
    foreach target in array array['access.api_key', 'access.api_key_revocation']::regclass[] loop
        execute format('alter table %s enable row level security, force row level security', target);
        execute format(
            'create policy everything on %s for all to carbon_owner, carbon_writer using (true) with check (true)', target);
        execute format(
            'create policy read_everything on %s for select to carbon_auditor, carbon_gate using (true)', target);
    end loop;
end
$$;
grant usage on schema access to carbon_gate, carbon_writer, carbon_auditor;
grant select on access.api_key, access.api_key_revocation to carbon_gate, carbon_auditor;
grant select, insert on access.api_key, access.api_key_revocation to carbon_writer;
