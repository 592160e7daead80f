-- Locks that any login may take stop nobody. An advisory lock asks for no privilege, so one that is held by a login
-- that cannot append says nothing about entries to come, and the sealer's turn is no advisory lock any more.

-- As before; a second whose lock another session holds for itself alone is passed by for the one before it, which
-- only holds the horizon further back. Where a whole minute is held, whoever would write is told.
create or replace function ledger.begin_writing() returns timestamptz
language plpgsql as $$
declare
    this_second integer := floor(extract(epoch from clock_timestamp() - timestamptz '2000-01-01 00:00:00Z'))::integer;
begin
    for passed in 0 .. 59 loop
        if pg_try_advisory_xact_lock_shared(7202, this_second - passed) then
            return clock_timestamp();
        end if;
    end loop;
    raise exception 'another session holds the advisory locks (7202, *) of the last minute, so nothing can be written'
        using errcode = 'lock_not_available',
              hint = 'select a.* from pg_locks l join pg_stat_activity a using (pid) '
                     'where l.locktype = ''advisory'' and l.classid = 7202 and l.mode = ''ExclusiveLock''';
end
$$;

-- The moment up to which as-of answers are final: no writer still under way can add an entry recorded
-- before it. The clock is read before the locks, so a writer that was not seen yet is later than the clock.
-- Of the locks those count whose session may append: by its grants, as the owner or one who may become it. A
-- session that is not known any more counts, too.
create or replace function ledger.knowledge_horizon() returns timestamptz
language plpgsql volatile as $$
declare
    looked_at timestamptz := clock_timestamp();
    oldest integer;
begin
    -- What this transaction remembers of sessions may be of others by now.
    perform pg_stat_clear_snapshot();
    select min(l.objid::bigint) into oldest
    from pg_catalog.pg_locks l
    left join pg_catalog.pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.classid = 7202 and l.objsubid = 2
      and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
      and coalesce(
          has_table_privilege(a.usesysid, 'ledger.entry', 'insert')
          or pg_has_role(a.usesysid, 'carbon_owner', 'member'), true);
    return least(
        looked_at,
        timestamptz '2000-01-01 00:00:00Z' + make_interval(secs => oldest)) - interval '1 microsecond';
end
$$;

-- The sealer's turn, to the end of its transaction: a lock of a table, which none but the sealer and the owner can
-- take. Who reads or is read meanwhile neither waits nor holds it up.
create function audit.begin_sealing() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    lock table audit.seal in share row exclusive mode;
end
$$;
grant execute on function audit.begin_sealing() to carbon_sealer;
