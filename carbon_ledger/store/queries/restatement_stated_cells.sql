-- The newest snapshot's value of scope 2 by location, by organization, fiscal year and country.
select e.organization_id, e.fiscal_year, e.country_iso2, e.value
from (
    select distinct on (x.fiscal_year) x.fiscal_year, x.snapshot_id
    from reports.esrs_e1 x
    where x.datapoint = %(datapoint)s
    order by x.fiscal_year, x.as_of desc, x.recorded_at desc, x.snapshot_id
) newest
join reports.esrs_e1 e using (snapshot_id, fiscal_year)
where e.datapoint = %(datapoint)s
