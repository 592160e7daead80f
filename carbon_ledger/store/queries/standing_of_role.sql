-- What the connection's role may do beyond its grants: by itself, and as every role it can become.
with become as (
    select r.* from pg_roles r where pg_has_role(current_user, r.oid, 'member')
)
select current_user::text as role,
       coalesce((select bool_or(b.rolsuper) from become b), false) as is_superuser,
       coalesce((select bool_or(b.rolbypassrls) from become b), false) as bypasses_row_security,
       coalesce((select bool_or(b.rolcreaterole or b.rolcreatedb or b.rolreplication) from become b), false)
           as governs_the_server,
       array(
           select b.rolname::text from become b
           where b.rolname <> current_user
             and b.rolname in ('carbon_owner', 'pg_database_owner', 'pg_read_all_data', 'pg_write_all_data',
                               'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
           order by 1
       ) as memberships,
       array(
           select distinct n.nspname::text
           from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p', 'v', 'm')
             and n.nspname in ('ledger', 'manifest', 'factors', 'reference', 'windows', 'reports', 'audit',
                               'personal', 'access')
             and c.relowner in (select b.oid from become b)
           order by 1
       ) as owns_in,
       exists (select from become b where b.rolname = 'carbon_writer') as is_writer,
       (select r.rolbypassrls from pg_roles r where r.rolname = current_user)
           or not exists (
               select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'ledger' and c.relname = 'entry' and c.relrowsecurity
           ) as can_copy
