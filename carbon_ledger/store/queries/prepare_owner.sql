-- Run as the migrator itself, not as the owner. Sees to it that the ledger's roles are there, that the
-- migrator may act as the owner, and that what the migrator owns of the ledger becomes the owner's.
do $$
declare
    ours constant text[] := array['ledger', 'manifest', 'factors', 'reference', 'windows', 'reports', 'audit', 'personal'];
    me constant text := session_user;
    role_name text;
    statement text;
    statements text[];
    is_lent boolean := false;
begin
    foreach role_name in array array[
        'carbon_owner', 'carbon_writer', 'carbon_reader', 'carbon_sealer', 'carbon_verifier', 'carbon_auditor',
        'carbon_vault'
    ] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I nologin', role_name);
        end if;
    end loop;
    if not pg_has_role(me, 'carbon_owner', 'member') then
        execute format('grant carbon_owner to %I', me);
    end if;
    if not has_database_privilege('carbon_owner', current_database(), 'create') then
        execute format('grant create on database %I to carbon_owner', current_database());
    end if;
    if not has_schema_privilege('carbon_owner', 'public', 'create') then
        grant create on schema public to carbon_owner;
    end if;

    -- Schemas last: who has given one away no longer reaches what is in it. Until then a table's new owner must
    -- be able to create in the schema.
    statements := array(
        select format('grant usage, create on schema %I to carbon_owner', n.nspname)
        from pg_namespace n
        where n.nspowner = me::regrole and n.nspname = any (ours)
    ) || array(
        select format('alter table %s owner to carbon_owner', c.oid::regclass)
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.relowner = me::regrole and c.relkind in ('r', 'p', 'v', 'm')
          and (n.nspname = any (ours) or (n.nspname, c.relname) = ('public', 'schema_migration'))
    ) || array(
        select format('alter routine %s owner to carbon_owner', p.oid::regprocedure)
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        where p.proowner = me::regrole and n.nspname = any (ours)
    ) || array(
        select format('alter schema %I owner to carbon_owner', n.nspname)
        from pg_namespace n
        where n.nspowner = me::regrole and n.nspname = any (ours)
    );
    -- Who gives a schema away must be able to create one.
    if cardinality(statements) > 0 and not has_database_privilege(me, current_database(), 'create') then
        set local role carbon_owner;
        execute format('grant create on database %I to %I', current_database(), me);
        set local role none;
        is_lent := true;
    end if;
    foreach statement in array statements loop
        execute statement;
    end loop;
    if is_lent then
        set local role carbon_owner;
        execute format('revoke create on database %I from %I', current_database(), me);
        set local role none;
    end if;
end
$$
