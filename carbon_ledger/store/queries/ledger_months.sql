-- First days of the months that the ledger has a partition of.
select to_date(right(c.relname, 7), 'YYYY_MM')
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'ledger.entry'::regclass and c.relname ~ '^entry_[0-9]{4}_[0-9]{2}$'
