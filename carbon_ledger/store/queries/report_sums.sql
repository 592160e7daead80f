-- The standing entries of a period as known at a moment, by everything that reports tell them apart by. Reversals
-- carry negative figures and what they take back otherwise, so every sum is of what stood.
-- The lines are read once and hashed into few groups, with release and flags besides; those are grouped again. A list of
-- distinct releases, or a flag looked at line by line, would have PostgreSQL sort every line.
with fine as materialized (
    select
        e.organization_id, e.scope, e.category, e.basis, e.stream, e.facility_id, e.country_iso2, e.activity_type,
        e.unit, coalesce(e.method, '') as method, e.gwp_set, e.gas_split, e.factor_id, e.factor_version, e.formula_id,
        e.factor_release, e.flags,
        sum(e.quantity) as quantity,
        sum(e.kgco2e) as kgco2e,
        sum(e.kg_co2_fossil) as kg_co2_fossil,
        sum(e.kg_co2_biogenic) as kg_co2_biogenic,
        sum(e.kg_ch4) as kg_ch4,
        sum(e.kg_n2o) as kg_n2o,
        sum(e.kgco2e * e.primary_share) as primary_kgco2e,
        count(*) - 2 * count(e.reverses_id) as entries
    from ledger.entries_as_of(%(as_of)s::timestamptz) e
    where e.activity_month >= date_trunc('month', %(begin)s::date)::date and e.activity_month < %(end)s::date
      and e.local_date >= %(begin)s::date and e.local_date < %(end)s::date
      and (%(organization)s::text is null or e.organization_id = %(organization)s::text)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
)
select
    f.organization_id, f.scope, f.category, f.basis, f.stream, f.facility_id, f.country_iso2, f.activity_type, f.unit,
    f.method, f.gwp_set, f.gas_split, f.factor_id, f.factor_version, f.formula_id,
    sum(f.quantity) as quantity,
    sum(f.kgco2e) as kgco2e,
    coalesce(sum(f.kg_co2_fossil), 0) as kg_co2_fossil,
    coalesce(sum(f.kg_co2_biogenic), 0) as kg_co2_biogenic,
    coalesce(sum(f.kg_ch4), 0) as kg_ch4,
    coalesce(sum(f.kg_n2o), 0) as kg_n2o,
    coalesce(sum(f.primary_kgco2e), 0) as primary_kgco2e,
    coalesce(
        sum(f.kgco2e) filter (where 'boundary_substitute' = any(string_to_array(f.flags, ','))), 0
    ) as substituted_kgco2e,
    sum(f.entries)::bigint as entries,
    array_agg(distinct f.factor_release) as factor_releases
from fine f
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
having sum(f.entries) > 0
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
