-- Whose entries a period has.
select distinct e.organization_id
from ledger.entry e
where e.activity_month >= %(first_date)s and e.activity_month < %(end_date)s
order by 1
