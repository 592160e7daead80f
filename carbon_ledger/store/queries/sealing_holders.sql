-- Sessions whose lock keeps the sealer from its turn.
select l.pid, coalesce(a.usename, 'an unknown role'), coalesce(a.application_name, ''), l.mode
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.relation = 'audit.seal'::regclass and l.granted
  and l.mode not in ('AccessShareLock', 'RowShareLock') and l.pid <> pg_backend_pid()
order by l.pid
