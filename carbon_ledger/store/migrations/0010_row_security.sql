-- Who sees which rows, and that nobody but the owner can do more than add.
--
-- Everything is owned by carbon_owner, as whom nobody logs in. Each role has the grants of its work and no
-- others; on top of them each row of an organization is shown to the reader only if the organization is in
-- the setting carbon.organizations of its session.

-- Functions made from now on are for whom they are granted to, and not for everybody.
alter default privileges revoke execute on functions from public;
do $$
declare
    place text;
begin
    foreach place in array array['ledger', 'manifest', 'factors', 'reference', 'windows', 'reports', 'audit'] loop
        execute format('revoke all on schema %I from public', place);
        execute format('revoke all on all tables in schema %I from public', place);
        execute format('revoke execute on all functions in schema %I from public', place);
    end loop;
end
$$;
grant execute on function ledger.begin_writing() to carbon_writer;
grant execute on function ledger.knowledge_horizon()
    to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant execute on function ledger.entries_as_of(timestamptz)
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
grant execute on function manifest.check_fence(bigint, integer),
    manifest.open_part(bigint, integer, text, integer),
    manifest.close_part(bigint, integer, text, integer, bigint) to carbon_writer;

-- To seal is to read what was posted, and nothing of what it was computed from or led to.
revoke all on all tables in schema factors, reference, windows, reports from carbon_sealer;
revoke usage on schema factors, reference, windows, reports from carbon_sealer;
revoke all on ledger.event_identity, ledger.dead_letter, ledger.dead_letter_relay, ledger.iot_energy,
    ledger.active_entry from carbon_sealer;

-- Whether the session sees every organization.
create function ledger.sees_every_organization() returns boolean
language sql stable parallel safe as $$
    select coalesce(current_setting('carbon.organizations', true), '') = '*'
$$;

-- The organizations that the session sees; none while carbon.organizations is not set.
create function ledger.visible_organizations() returns text[]
language sql stable parallel safe as $$
    select array_remove(
        string_to_array(coalesce(current_setting('carbon.organizations', true), ''), ','), '')
$$;
grant execute on function ledger.sees_every_organization(), ledger.visible_organizations() to carbon_reader;

-- Puts row security on a table, and has a view read with the rights of whoever asks it.
--
-- A row that bears an organization_id is shown to the reader if that organization is among those of its
-- session. Rows of a table without that column may be anybody's: they are shown to who sees every
-- organization. Call it for every table that has the column, or whose rows tell of an organization, and for
-- every view. It may be called again.
create function ledger.protect(target regclass) returns void
language plpgsql as $$
declare
    kind "char" := (select c.relkind from pg_class c where c.oid = target);
    condition text := '(select ledger.sees_every_organization())';
begin
    if kind = 'v' then
        execute format('alter view %s set (security_invoker = true)', target);
        return;
    end if;
    if kind not in ('r', 'p') then
        raise exception '% is no table and no view, and cannot have row security', target
            using errcode = 'wrong_object_type';
    end if;
    if exists (
        select from pg_attribute a
        where a.attrelid = target and a.attname = 'organization_id' and not a.attisdropped
    ) then
        -- Asked once per query, not once per row.
        condition := condition || ' or organization_id = any ((select ledger.visible_organizations())::text[])';
    end if;
    execute format('alter table %s enable row level security, force row level security', target);
    execute format('drop policy if exists everything on %s', target);
    execute format('drop policy if exists read_everything on %s', target);
    execute format('drop policy if exists read_organizations on %s', target);
    execute format(
        'create policy everything on %s for all to carbon_owner, carbon_writer using (true) with check (true)', target);
    execute format(
        'create policy read_everything on %s for select to carbon_sealer, carbon_verifier, carbon_auditor using (true)',
        target);
    execute format('create policy read_organizations on %s for select to carbon_reader using (%s)', target, condition);
end
$$;

-- Makes a partition of an append-only table as safe as the table: it is reached through the table alone, and
-- reached directly by mistake it neither shows nor loses a row.
create function ledger.protect_partition(target regclass) returns void
language plpgsql as $$
begin
    execute format(
        'revoke all on %s from public, carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor',
        target);
    if not exists (select from pg_trigger t where t.tgrelid = target and t.tgname = 'refuse_truncate') then
        execute format(
            'create trigger refuse_truncate before truncate on %s '
            'for each statement execute function ledger.refuse_change()', target);
    end if;
    perform ledger.protect(target);
end
$$;

-- As before, and with everything that protects a partition.
create or replace function ledger.ensure_month(month date) returns boolean
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
    perform ledger.protect_partition(format('ledger.%I', part)::regclass);
    execute format(
        'alter table ledger.entry attach partition ledger.%I for values from (%L) to (%L)',
        part, first_day, (first_day + interval '1 month')::date);
    return true;
end
$$;

do $$
declare
    target regclass;
begin
    for target in
        select c.oid::regclass
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('ledger', 'manifest', 'factors', 'reference', 'windows', 'reports', 'audit')
          and (c.relkind = 'v'
               or c.relkind in ('r', 'p') and not c.relispartition and exists (
                   select from pg_attribute a
                   where a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped))
    loop
        perform ledger.protect(target);
    end loop;
    for target in select inhrelid::regclass from pg_inherits where inhparent = 'ledger.entry'::regclass loop
        perform ledger.protect_partition(target);
    end loop;
end
$$;

-- These name no organization, and tell of one.
select ledger.protect(t) from unnest(array[
    'ledger.event_identity', 'ledger.dead_letter', 'reference.application', 'reference.ownership',
    'reference.meter', 'reference.vehicle', 'reference.supplier', 'reference.supplier_item',
    'reference.instrument', 'reference.revenue', 'reference.budget', 'reference.spend_class'
]::regclass[]) as t;
