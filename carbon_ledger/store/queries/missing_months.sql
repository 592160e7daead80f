select distinct date_trunc('month', m)::date
from unnest(%(months)s::date[]) as m
where to_regclass('ledger.entry_' || to_char(m, 'YYYY_MM')) is null
order by 1
