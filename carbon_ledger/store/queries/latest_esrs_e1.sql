select
    e.snapshot_id, e.organization_id, e.fiscal_year, e.framework_profile, e.datapoint, e.concept,
    e.country_iso2, e.value, e.unit, e.entries, e.substituted_share, e.as_of, e.factor_releases,
    e.code_version, e.run_id
from (
    select distinct on (x.fiscal_year) x.fiscal_year, x.snapshot_id
    from reports.esrs_e1 x
    where %(fiscal_year)s::integer is null or x.fiscal_year = %(fiscal_year)s::integer
    order by x.fiscal_year, x.as_of desc, x.recorded_at desc, x.snapshot_id
) newest
join reports.esrs_e1 e using (snapshot_id, fiscal_year)
order by e.fiscal_year, e.organization_id, e.datapoint, e.country_iso2
