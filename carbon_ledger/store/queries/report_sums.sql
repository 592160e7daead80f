-- The standing entries of a period as known at a moment, by everything that reports tell them apart by. Reversals
-- carry negative figures and what they take back otherwise, so every sum is of what stood.
-- Whole months are told by the sums of the segments that end at `until` or before (null: none do) and the lines
-- recorded after it. Lines are read once and hashed into few groups, with release and flags besides; those are grouped
-- again. A list of distinct releases, or a flag looked at line by line, would have PostgreSQL sort every line.
-- No row where `until` is no longer the end of the last such segment: they were merged meanwhile.
with fine as materialized (
    select
        m.organization_id, m.scope, m.category, m.basis, m.stream, m.facility_id, m.country_iso2, m.activity_type,
        m.unit, m.method, m.gwp_set, m.gas_split, m.factor_id, m.factor_version, m.formula_id,
        m.factor_release, m.flags, m.quantity, m.kgco2e, m.kg_co2_fossil, m.kg_co2_biogenic, m.kg_ch4, m.kg_n2o,
        m.primary_kgco2e, m.entries
    from windows.month_sum m
    where m.segment_id in (
        select s.segment_id from windows.sum_segment s where s.recorded_until <= %(until)s::timestamptz
    )
      and m.activity_month >= %(begin)s::date and m.activity_month < %(end)s::date
      and (%(organization)s::text is null or m.organization_id = %(organization)s::text)
    union all
    select
        e.organization_id, e.scope, e.category, e.basis, e.stream, e.facility_id, e.country_iso2, e.activity_type,
        e.unit, coalesce(e.method, ''), e.gwp_set, e.gas_split, e.factor_id, e.factor_version, e.formula_id,
        e.factor_release, e.flags,
        sum(e.quantity),
        sum(e.kgco2e),
        sum(e.kg_co2_fossil),
        sum(e.kg_co2_biogenic),
        sum(e.kg_ch4),
        sum(e.kg_n2o),
        sum(e.kgco2e * e.primary_share),
        count(*) - 2 * count(e.reverses_id)
    from ledger.entry e
    where e.recorded_at > coalesce(%(until)s::timestamptz, '-infinity') and e.recorded_at <= %(as_of)s::timestamptz
      and e.activity_month >= date_trunc('month', %(begin)s::date)::date and e.activity_month < %(end)s::date
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
where %(until)s::timestamptz is not distinct from (
    select max(s.recorded_until) from windows.sum_segment s where s.recorded_until <= %(as_of)s::timestamptz
) or not %(is_of_sums)s
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
having sum(f.entries) > 0
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
