-- What a sample is drawn from: every entry of the months, with its figure.
select e.entry_id, e.activity_month, e.kgco2e
from ledger.entry e
where (%(start)s::date is null or e.activity_month >= %(start)s)
  and (%(end)s::date is null or e.activity_month < %(end)s)
