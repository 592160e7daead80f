-- Entries as programs read them, in which every number and hash is text, as they were known at a moment. Moments are
-- UTC and spelled by whoever asks (carbon_ledger.store.entry_pages): to_char is a third of what an export costs.
-- Whatever narrows is left out with null.
select
    e.entry_id::text as entry_id,
    e.organization_id,
    e.event_id,
    e.line_no,
    e.activity_ref,
    e.stream,
    ledger.supplier_of(e.stream, e.source_ref) as supplier_id,
    e.facility_id,
    e.source_ref,
    e.country_iso2,
    e.region,
    e.activity_month::text as activity_month,
    e.local_date::text as local_date,
    e.occurred_from at time zone 'UTC' as occurred_from,
    e.occurred_to at time zone 'UTC' as occurred_to,
    e.recorded_at at time zone 'UTC' as recorded_at,
    e.scope,
    e.category,
    e.basis,
    e.activity_type,
    trim_scale(e.quantity)::text as quantity,
    e.unit,
    trim_scale(e.kgco2e)::text as kgco2e,
    trim_scale(e.kg_co2_fossil)::text as kg_co2_fossil,
    trim_scale(e.kg_co2_biogenic)::text as kg_co2_biogenic,
    trim_scale(e.kg_ch4)::text as kg_ch4,
    trim_scale(e.kg_n2o)::text as kg_n2o,
    e.other_gases,
    e.gwp_set,
    e.factor_id,
    e.factor_version,
    e.factor_release,
    e.factor_match,
    e.vintage_gap_years,
    e.flags,
    e.formula_id,
    e.method,
    e.rule_id,
    e.supersession_rank,
    trim_scale(e.primary_share)::text as primary_share,
    e.activity_scores,
    e.factor_scores,
    e.reverses_id::text as reverses_id,
    e.cause,
    encode(e.payload_sha256, 'hex') as payload_sha256,
    encode(e.content_sha256, 'hex') as content_sha256,
    e.code_version,
    e.reverses_id is null and r.entry_id is null as is_active,
    r.reversal_entry_id::text as reversed_by
from ledger.entry e
left join ledger.reversal r on r.entry_id = e.entry_id and r.recorded_at <= %(as_of)s::timestamptz
where e.recorded_at <= %(as_of)s::timestamptz
  and (%(entry_ids)s::uuid[] is null or e.entry_id = any(%(entry_ids)s::uuid[]))
  and (%(recorded_since)s::timestamptz is null or e.recorded_at >= %(recorded_since)s::timestamptz)
  and e.activity_month >= coalesce(date_trunc('month', %(start)s::date::timestamp)::date, '-infinity')
  and e.activity_month < coalesce(%(end)s::date, 'infinity')
  and e.local_date >= coalesce(%(start)s::date, '-infinity')
  and e.local_date < coalesce(%(end)s::date, 'infinity')
  and (%(stream)s::text is null or e.stream = %(stream)s::text)
  and (%(scope)s::smallint is null or e.scope = %(scope)s::smallint)
  and (%(category)s::smallint is null or e.category = %(category)s::smallint)
  and (%(facility)s::text is null or e.facility_id = %(facility)s::text)
  and (
      %(suppliers)s::text[] is null
      -- The first two are the index's, the third says what a supplier is.
      or e.stream in ('procurement', 'supplier') and e.source_ref = any(%(suppliers)s::text[])
         and ledger.supplier_of(e.stream, e.source_ref) = any(%(suppliers)s::text[])
  )
  and (
      %(is_active)s::boolean is null
      or (e.reverses_id is null and r.entry_id is null) = %(is_active)s::boolean
  )
  and e.activity_month >= coalesce(%(after_month)s::date, '-infinity')
  and (%(after_month)s::date is null
       or (e.activity_month, e.entry_id) > (%(after_month)s::date, %(after_id)s::uuid))
order by e.activity_month, e.entry_id
limit %(limit)s::bigint
