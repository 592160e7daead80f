-- The releases that entries of some months name, by month.
select e.activity_month, e.factor_release
from ledger.entry e
where e.activity_month >= date_trunc('month', %(first_date)s::date) and e.activity_month < %(end_date)s::date
  and e.local_date >= %(first_date)s and e.local_date < %(end_date)s
  and e.reverses_id is null and e.recorded_at <= %(known_at)s
group by e.activity_month, e.factor_release
order by 1, 2
