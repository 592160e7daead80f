-- Standing entries of electricity that own vehicles were charged with away from meters of the company, of a calendar
-- year, per place, factor and set of potentials, those of two fiscal years apart; by what was known at `known_at`, or
-- now.
select e.organization_id, e.facility_id, e.country_iso2, e.region, min(e.local_date) as local_date, e.unit,
       e.factor_id, e.factor_version, e.factor_release, e.gwp_set,
       sum(e.quantity) as quantity, sum(e.kgco2e) as kgco2e, count(*)::integer as entries,
       encode(sha256(string_agg(uuid_send(e.entry_id), ''::bytea order by e.entry_id)), 'hex') as sha256
from ledger.entry e
left join reference.first_months(coalesce(%(known_at)s::timestamptz, 'infinity')) m using (organization_id)
where e.stream = 'transport'
  and e.scope = 2 and e.basis = 'location' and e.activity_type = 'vehicle_electricity'
  and e.activity_month >= %(begin)s and e.activity_month < %(end)s
  and e.reverses_id is null
  and e.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
  and not exists (
      select from ledger.reversal r
      where r.entry_id = e.entry_id and r.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
  )
group by 1, 2, 3, 4, 6, 7, 8, 9, 10, ledger.fiscal_year(e.local_date, m.first_month)
order by 1, 3, 2, 4, 6, 7, 8, 9, 10, 5
