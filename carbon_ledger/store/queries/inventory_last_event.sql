-- The latest event of a local day among the entries that stood at a moment; the conditions are those of `inventory`.
select max(e.occurred_from)
from ledger.entry e
where e.reverses_id is null
  and e.recorded_at <= %(as_of)s
  and not exists (
      select from ledger.reversal r where r.entry_id = e.entry_id and r.recorded_at <= %(as_of)s
  )
  and e.activity_month = date_trunc('month', %(date)s::date::timestamp)::date
  and e.local_date = %(date)s::date
  and e.scope between 1 and 3
  and (e.scope <> 2 or e.basis = %(basis)s)
  and (e.scope <> 3 or e.basis <> 'market')
  and (%(scope)s::smallint is null or e.scope = %(scope)s::smallint)
  and (%(category)s::smallint is null or e.category = %(category)s::smallint)
  and (%(facility)s::text is null or e.facility_id = %(facility)s::text)
  and (
      %(supplier)s::text is null
      or e.stream in ('procurement', 'supplier') and e.source_ref = %(supplier)s::text
         and ledger.supplier_of(e.stream, e.source_ref) = %(supplier)s::text
  )
