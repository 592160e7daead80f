-- Each organization's total is the sum of its entries as known at the report's moment, to the last digit, and no
-- organization with entries is missing.
with moment as (
    select distinct fiscal_year, as_of from {batch}
),
posted as (
    select e.organization_id, sum(e.kgco2e) * 0.001 as tonnes
    from moment m
    join ledger.entry e
      on e.recorded_at <= m.as_of
     -- A fiscal year begins in its calendar year or in the one before.
     and e.activity_month >= make_date(m.fiscal_year - 1, 1, 1) and e.activity_month < make_date(m.fiscal_year + 1, 1, 1)
    left join reference.first_months(m.as_of) f using (organization_id)
    where ledger.fiscal_year(e.local_date, f.first_month) = m.fiscal_year and e.scope = 2 and e.basis = 'location'
    group by e.organization_id
),
told as (
    select organization_id, sum(value) as tonnes from {batch} where country_iso2 = '' group by organization_id
)
select organization_id, t.tonnes::text as report, p.tonnes::text as entries
from told t
full join posted p using (organization_id)
where coalesce(t.tonnes, 0) <> coalesce(p.tonnes, 0)
