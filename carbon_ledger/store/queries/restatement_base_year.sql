-- What a year comes to by organization, by location: scopes 1, 2 and 3 without market-based figures.
select e.organization_id, sum(e.kgco2e)
from ledger.entry e
where e.activity_month >= %(start)s and e.activity_month < %(end)s
  and e.recorded_at <= %(known_at)s and e.scope > 0 and e.basis <> 'market'
group by e.organization_id
