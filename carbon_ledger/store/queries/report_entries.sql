-- The standing entries that a cell takes, as known at a moment: those in every list that is given.
select e.entry_id, e.activity_month, e.event_id, e.line_no, e.stream, e.facility_id, e.local_date, e.activity_type,
    e.quantity, e.unit, e.kgco2e, e.factor_id, e.factor_version, e.formula_id,
    coalesce(e.method, '') as method, e.topic, e.kafka_partition, e.kafka_offset
from ledger.entries_as_of(%(as_of)s::timestamptz) e
where e.organization_id = %(organization)s::text
  and e.reverses_id is null
  and not exists (
      select from ledger.entries_as_of(%(as_of)s::timestamptz) r
      where r.activity_month = e.activity_month and r.reverses_id = e.entry_id
        -- Said again, or the reversals of every year are read.
        and r.activity_month >= date_trunc('month', %(begin)s::date)::date and r.activity_month < %(end)s::date)
  and e.activity_month >= date_trunc('month', %(begin)s::date)::date and e.activity_month < %(end)s::date
  and e.local_date >= %(begin)s::date and e.local_date < %(end)s::date
  and (cardinality(%(scopes)s::int[]) = 0 or e.scope = any(%(scopes)s::int[]))
  and (cardinality(%(categories)s::int[]) = 0 or e.category = any(%(categories)s::int[]))
  and (cardinality(%(bases)s::text[]) = 0 or e.basis = any(%(bases)s::text[]))
  and e.basis <> all(%(without_bases)s::text[])
  and (cardinality(%(streams)s::text[]) = 0 or e.stream = any(%(streams)s::text[]))
  and (cardinality(%(facilities)s::text[]) = 0 or e.facility_id = any(%(facilities)s::text[]))
  and (cardinality(%(countries)s::text[]) = 0 or e.country_iso2 = any(%(countries)s::text[]))
  and (cardinality(%(activity_types)s::text[]) = 0 or e.activity_type = any(%(activity_types)s::text[]))
  and (cardinality(%(activity_prefixes)s::text[]) = 0
       or exists (select from unnest(%(activity_prefixes)s::text[]) p where starts_with(e.activity_type, p)))
  and (cardinality(%(methods)s::text[]) = 0 or coalesce(e.method, '') = any(%(methods)s::text[]))
  and (cardinality(%(units)s::text[]) = 0 or e.unit = any(%(units)s::text[]))
  and (cardinality(%(factor_ids)s::text[]) = 0 or e.factor_id = any(%(factor_ids)s::text[]))
  and (cardinality(%(factor_versions)s::int[]) = 0 or e.factor_version = any(%(factor_versions)s::int[]))
  and (cardinality(%(formula_ids)s::text[]) = 0 or e.formula_id = any(%(formula_ids)s::text[]))
  and (cardinality(%(gas_splits)s::text[]) = 0 or e.gas_split = any(%(gas_splits)s::text[]))
  and (cardinality(%(gwp_sets)s::text[]) = 0 or e.gwp_set = any(%(gwp_sets)s::text[]))
  and (cardinality(%(other_gases)s::text[]) = 0 or e.other_gases ?| %(other_gases)s::text[])
  and (e.activity_month, e.entry_id) > (%(after_month)s::date, %(after_id)s::uuid)
order by e.activity_month, e.entry_id
limit %(limit)s::bigint
