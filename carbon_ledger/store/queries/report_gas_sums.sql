-- Other gases of the same groups as report_sums, in kg.
select
    e.organization_id, e.scope, e.category, e.basis, e.stream, e.facility_id, e.country_iso2, e.activity_type, e.unit,
    coalesce(e.method, '') as method, e.gwp_set, e.gas_split, e.factor_id, e.factor_version, e.formula_id,
    g.key as gas,
    sum(g.value::numeric) as kg
from ledger.entries_as_of(%(as_of)s::timestamptz) e, jsonb_each_text(e.other_gases) g
where e.other_gases is not null
  and e.activity_month >= date_trunc('month', %(begin)s::date)::date and e.activity_month < %(end)s::date
  and e.local_date >= %(begin)s::date and e.local_date < %(end)s::date
  and (%(organization)s::text is null or e.organization_id = %(organization)s::text)
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
having sum(g.value::numeric) <> 0
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
