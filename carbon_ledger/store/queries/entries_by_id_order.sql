-- Every entry of the months, in the order of the ids.
select e.*
from ledger.entry e
where (%(start)s::date is null or e.activity_month >= %(start)s)
  and (%(end)s::date is null or e.activity_month < %(end)s)
order by e.entry_id
