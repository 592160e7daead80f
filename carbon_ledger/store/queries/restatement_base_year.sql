-- What a fiscal year comes to by organization, by location: scopes 1, 2 and 3 without market-based figures.
select e.organization_id, sum(e.kgco2e)
from ledger.entry e
left join reference.first_months(%(known_at)s) f using (organization_id)
where e.activity_month >= make_date(%(year)s::integer - 1, 1, 1)
  and e.activity_month < make_date(%(year)s::integer + 1, 1, 1)
  and ledger.fiscal_year(e.activity_month, f.first_month) = %(year)s::integer
  and e.recorded_at <= %(known_at)s and e.scope > 0 and e.basis <> 'market'
group by e.organization_id
