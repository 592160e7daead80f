-- Roles that no row security binds and that can read a table of the ledger: those with BYPASSRLS, but for superusers,
-- whose doing no check can see; and superusers among the ledger's own roles, of which there is none.
select r.rolname::text, r.rolsuper
from pg_roles r
where (r.rolbypassrls and not r.rolsuper
       and exists (
           select from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p', 'v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
             and has_any_column_privilege(r.oid, c.oid, 'select')))
   or (r.rolsuper and r.rolname ~ '^carbon_')
order by 1
