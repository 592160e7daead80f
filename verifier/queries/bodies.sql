-- Bodies of the functions that triggers and policies call, hashed; each name once per function of it.
select n.nspname || '.' || p.proname, encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex')
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
where n.nspname || '.' || p.proname = any(%s)
order by 1, 2
