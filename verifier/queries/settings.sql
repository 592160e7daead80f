-- Settings that sessions begin with and that undo a protection: triggers that do not fire, a reader that sees every
-- organization without having asked.
select format('%s in %s', coalesce(r.rolname, 'every role'), coalesce(d.datname, 'every database')), one
from pg_db_role_setting s
left join pg_roles r on r.oid = s.setrole
left join pg_database d on d.oid = s.setdatabase
cross join unnest(s.setconfig) one
where (s.setdatabase = 0 or d.datname = current_database())
  and one ~ '^(session_replication_role|carbon\.organizations)='
union
select 'the server', format('%s=%s', name, reset_val)
from pg_settings
where name = 'session_replication_role' and reset_val <> 'origin'
order by 1, 2
