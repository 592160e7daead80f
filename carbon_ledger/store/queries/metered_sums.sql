-- Standing entries of metered energy of a fiscal year, per site, local day and factor; by what was known at
-- `known_at`, or now. What the meters' stream posts in scope 1 is fuel; what it posts in scope 2 is location-based.
select e.organization_id, e.facility_id, e.country_iso2, e.region, e.local_date, e.activity_type, e.unit,
       e.factor_id, e.factor_version, e.factor_release,
       'certificates_sold' = any(string_to_array(e.flags, ',')) as certificates_sold,
       sum(e.quantity) as quantity, min(e.occurred_from) as occurred_from, max(e.occurred_to) as occurred_to,
       count(*)::integer as entries,
       encode(sha256(string_agg(uuid_send(e.entry_id), ''::bytea order by e.entry_id)), 'hex') as sha256,
       sum(e.kgco2e) filter (where e.basis = 'combustion') as kgco2e
from ledger.entry e
where e.stream = 'iot_energy'
  and e.basis in ('location', 'combustion')
  and e.activity_month >= %(begin)s and e.activity_month < %(end)s
  and e.reverses_id is null
  and e.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
  and not exists (
      select from ledger.reversal r
      where r.entry_id = e.entry_id and r.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
  )
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
order by 1, 2, 5, 6, 8, 3, 4, 7, 9, 10, 11
