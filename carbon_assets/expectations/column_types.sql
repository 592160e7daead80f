-- Columns of the table that are of another type than the suite declares, or of none.
with declared (name, type) as (values $columns),
found (name, type) as (
    select a.attname::text, format_type(a.atttypid, a.atttypmod)
    from pg_attribute a
    where a.attrelid = $target::regclass and a.attnum > 0 and not a.attisdropped
)
select d.name as column_name, d.type as declared, coalesce(f.type, 'absent') as found
from declared d
left join found f on f.name = d.name
where f.type is distinct from d.type and (select 1 from {batch} limit 1) is distinct from 0
