-- Of each fiscal year the whole reports it was last reported with, as known at a moment.
select distinct on (d.first_date)
    extract(year from d.first_date)::integer as fiscal_year, d.report_ids, d.as_of
from ledger.period_state s
join ledger.period_decision d using (decision_id)
where s.organization_id = %(organization)s
  and s.state = 'reported'
  and s.recorded_at <= %(as_of)s
  and cardinality(d.report_ids) > 0
  and extract(year from d.first_date) = any(%(years)s::integer[])
order by d.first_date, s.state_no desc
