-- A snapshot's totals beside the entries as known at its moment, and beside its own countries.
with snapshot as (
    select r.* from reports.esrs_e1 r where r.snapshot_id = %(snapshot_id)s
),
moment as (
    select distinct s.fiscal_year, s.as_of from snapshot s
),
ledger_sum as (
    select e.organization_id, sum(e.kgco2e) * 0.001 as tonnes
    from moment m
    join ledger.entry e
        on e.recorded_at <= m.as_of
        -- A fiscal year begins in its calendar year or in the one before.
        and e.activity_month >= make_date(m.fiscal_year - 1, 1, 1)
        and e.activity_month < make_date(m.fiscal_year + 1, 1, 1)
    left join reference.first_months(m.as_of) f using (organization_id)
    where ledger.fiscal_year(e.local_date, f.first_month) = m.fiscal_year and e.scope = 2 and e.basis = 'location'
    group by e.organization_id
),
total as (
    select s.organization_id, s.value from snapshot s where s.country_iso2 = ''
),
countries as (
    select s.organization_id, sum(s.value) as value from snapshot s where s.country_iso2 <> '' group by 1
)
select format('organization %%s: the report says %%s tCO2e, its entries add up to %%s', organization_id,
              coalesce(t.value::text, 'nothing'), coalesce(l.tonnes::text, 'nothing')) as what
from total t
full join ledger_sum l using (organization_id)
where t.value is distinct from l.tonnes and coalesce(t.value, 0) <> coalesce(l.tonnes, 0)
union all
select format('organization %%s: the total is %%s tCO2e, the countries add up to %%s', organization_id, t.value,
              coalesce(c.value, 0))
from total t
left join countries c using (organization_id)
where t.value <> coalesce(c.value, 0)
order by 1
