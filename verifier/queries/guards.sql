-- Every table and view outside PostgreSQL's own: whether it is a month of entries; whether triggers that are enabled,
-- unconditional and for every column refuse UPDATE and DELETE of rows, and TRUNCATE; whether its row security is
-- enabled and forced; whether a view is read with the rights of whoever asks. Bits of tgtype: 1 row, 2 before,
-- 8 delete, 16 update, 32 truncate.
select c.oid::regclass::text, c.relkind::text,
       exists (select from pg_inherits i where i.inhrelid = c.oid and i.inhparent = 'ledger.entry'::regclass),
       coalesce(bit_or(t.tgtype) filter (where t.tgtype & 3 = 3), 0) & 24 = 24,
       coalesce(bit_or(t.tgtype) filter (where t.tgtype & 3 = 2), 0) & 32 = 32,
       c.relrowsecurity and c.relforcerowsecurity,
       coalesce('security_invoker=true' = any(c.reloptions), false)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_trigger t
    on t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('O', 'A') and t.tgqual is null and t.tgattr = ''
   and t.tgfoid in (
       select p.oid from pg_proc p join pg_namespace s on s.oid = p.pronamespace
       where (s.nspname, p.proname) in (('ledger', 'refuse_change'), ('personal', 'guard_key'), ('reports', 'guard_snapshot')))
where c.relkind in ('r', 'p', 'v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
group by c.oid
order by 1
