-- Months whose sums are not those of the lines recorded until the end of the last segment; nothing where they agree.
select organization_id, activity_month, facility_id, activity_type, sum(kgco2e), sum(entries)::bigint
from (
    select organization_id, activity_month, scope, category, basis, stream, facility_id, country_iso2, activity_type,
           unit, coalesce(method, '') as method, gwp_set, gas_split, factor_id, factor_version, formula_id,
           factor_release, flags, quantity, kgco2e, coalesce(kg_co2_fossil, 0) as fossil,
           coalesce(kg_co2_biogenic, 0) as biogenic, coalesce(kg_ch4, 0) as ch4, coalesce(kg_n2o, 0) as n2o,
           coalesce(kgco2e * primary_share, 0) as from_primary,
           case when reverses_id is null then 1 else -1 end as entries
    from ledger.entry
    where recorded_at <= (select max(recorded_until) from windows.sum_segment)
    union all
    select organization_id, activity_month, scope, category, basis, stream, facility_id, country_iso2, activity_type,
           unit, method, gwp_set, gas_split, factor_id, factor_version, formula_id, factor_release, flags, -quantity,
           -kgco2e, -coalesce(kg_co2_fossil, 0), -coalesce(kg_co2_biogenic, 0), -coalesce(kg_ch4, 0),
           -coalesce(kg_n2o, 0), -coalesce(primary_kgco2e, 0), -entries
    from windows.month_sum
) both_sides
group by organization_id, activity_month, scope, category, basis, stream, facility_id, country_iso2, activity_type,
         unit, method, gwp_set, gas_split, factor_id, factor_version, formula_id, factor_release, flags
having sum(kgco2e) <> 0 or sum(quantity) <> 0 or sum(entries) <> 0 or sum(fossil) <> 0 or sum(biogenic) <> 0
       or sum(ch4) <> 0 or sum(n2o) <> 0 or sum(from_primary) <> 0
order by activity_month, organization_id, facility_id, activity_type
