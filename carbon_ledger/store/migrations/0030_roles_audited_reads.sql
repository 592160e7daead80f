-- What a key was made for, and what auditors read by the API.

alter table access.api_key add column role text;
comment on column access.api_key.role is
    'the role whose scopes the key was given; what an auditor''s key reads is recorded; null: single scopes alone';
alter table access.api_key add constraint api_key_role_is_known
    check (role in ('operator', 'reporter', 'auditor', 'supplier', 'service'));

create table access.audited_read (
    read_id         bigint generated always as identity,
    key_id          text collate "C" not null references access.api_key,
    organization_id text collate "C" not null,
    read_at         timestamptz not null default clock_timestamp(),
    method          text not null,
    path            text not null,
    query           text not null,
    constraint audited_read_pkey primary key (read_id),
    constraint audited_read_says_what check (path ~ '^/')
);
comment on table access.audited_read is 'what auditors asked the API for, written before they are answered';
comment on column access.audited_read.path is 'the path that was asked for, without its query';
comment on column access.audited_read.query is 'the query as it was sent, without the question mark; may be empty';
create index audited_read_of_key on access.audited_read (key_id, read_at);

select ledger.make_append_only('access.audited_read');
alter table access.audited_read enable row level security, force row level security;
create policy everything on access.audited_read for all to carbon_owner using (true) with check (true);
create policy read_everything on access.audited_read for select to carbon_auditor using (true);
-- The gate adds, and cannot look back.
create policy add on access.audited_read for insert to carbon_gate with check (true);
grant select on access.audited_read to carbon_auditor;
grant insert on access.audited_read to carbon_gate;
