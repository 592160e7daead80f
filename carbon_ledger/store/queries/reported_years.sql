-- Of each fiscal year the whole reports it was last reported with and when that was, as known at a moment.
select distinct on (d.period) d.report_ids, d.as_of, s.recorded_at
from ledger.period_state s
join ledger.period_decision d using (decision_id)
where s.organization_id = %(organization)s
  and s.state = 'reported'
  and s.recorded_at <= %(as_of)s
  and cardinality(d.report_ids) > 0
  and d.period = any(%(years)s::text[])
order by d.period, s.state_no desc
