-- kWh of instruments that stand as used, by organization, for this year and for others.
select e.organization_id, e.activity_month >= %(begin)s and e.activity_month < %(end)s as is_this_year,
       substr(e.factor_id, length('instrument:') + 1) as instrument_id, sum(e.quantity) as kwh
from ledger.active_entry e
where e.stream = 'period_postings'
  and e.basis = 'market'
  and e.factor_id like 'instrument:%%'
group by 1, 2, 3
order by 1, 2, 3
