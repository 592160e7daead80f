-- The standing entries of a period as known at a moment, by everything that reports tell them apart by. Reversals
-- carry negative figures and what they take back otherwise, so every sum is of what stood.
select
    e.organization_id, e.scope, e.category, e.basis, e.stream, e.facility_id, e.country_iso2, e.activity_type, e.unit,
    coalesce(e.method, '') as method, e.gwp_set, e.gas_split, e.factor_id, e.factor_version, e.formula_id,
    sum(e.quantity) as quantity,
    sum(e.kgco2e) as kgco2e,
    coalesce(sum(e.kg_co2_fossil), 0) as kg_co2_fossil,
    coalesce(sum(e.kg_co2_biogenic), 0) as kg_co2_biogenic,
    coalesce(sum(e.kg_ch4), 0) as kg_ch4,
    coalesce(sum(e.kg_n2o), 0) as kg_n2o,
    coalesce(sum(e.kgco2e * e.primary_share), 0) as primary_kgco2e,
    coalesce(
        sum(e.kgco2e) filter (where 'boundary_substitute' = any(string_to_array(e.flags, ','))), 0
    ) as substituted_kgco2e,
    sum(case when e.reverses_id is null then 1 else -1 end)::bigint as entries,
    array_agg(distinct e.factor_release) as factor_releases
from ledger.entries_as_of(%(as_of)s::timestamptz) e
where e.activity_month >= date_trunc('month', %(begin)s::date)::date and e.activity_month < %(end)s::date
  and e.local_date >= %(begin)s::date and e.local_date < %(end)s::date
  and (%(organization)s::text is null or e.organization_id = %(organization)s::text)
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
having sum(case when e.reverses_id is null then 1 else -1 end) > 0
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
