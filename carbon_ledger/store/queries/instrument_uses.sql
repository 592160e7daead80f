-- kWh of instruments that stand as used, by organization, for this year and for others; by what was known at
-- `known_at`, or now.
select e.organization_id, e.activity_month >= %(begin)s and e.activity_month < %(end)s as is_this_year,
       substr(e.factor_id, length('instrument:') + 1) as instrument_id, sum(e.quantity) as kwh
from ledger.entry e
where e.stream = 'period_postings'
  and e.basis = 'market'
  and e.factor_id like 'instrument:%%'
  and e.reverses_id is null
  and e.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
  and not exists (
      select from ledger.reversal r
      where r.entry_id = e.entry_id and r.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
  )
group by 1, 2, 3
order by 1, 2, 3
