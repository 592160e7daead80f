-- Each total counts the entries that stood at the report's moment.
with looked_at as (
    select * from {batch}
),
moment as (
    select distinct fiscal_year, as_of from looked_at
),
standing as (
    select e.organization_id, sum(case when e.reverses_id is null then 1 else -1 end) as entries
    from moment m
    join ledger.entry e
      on e.recorded_at <= m.as_of
     -- A fiscal year begins in its calendar year or in the one before.
     and e.activity_month >= make_date(m.fiscal_year - 1, 1, 1) and e.activity_month < make_date(m.fiscal_year + 1, 1, 1)
    left join reference.first_months(m.as_of) f using (organization_id)
    where ledger.fiscal_year(e.local_date, f.first_month) = m.fiscal_year and e.scope = 2 and e.basis = 'location'
    group by e.organization_id
)
select looked_at.organization_id, looked_at.entries as report, s.entries as ledger
from looked_at
join standing s on s.organization_id = looked_at.organization_id
where looked_at.country_iso2 = '' and looked_at.entries <> s.entries
