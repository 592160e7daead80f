-- What stood at a moment: recorded by then, no reversal, and not reversed by then.
select e.*
from ledger.entries_as_of(%(known_at)s::timestamptz) e
where e.reverses_id is null
  and not exists (
      select from ledger.reversal r where r.entry_id = e.entry_id and r.recorded_at <= %(known_at)s::timestamptz
  )
  and e.activity_month >= coalesce(date_trunc('month', %(start)s::date::timestamp)::date, '-infinity')
  and e.activity_month < coalesce(%(end)s::date, 'infinity')
  and e.local_date >= coalesce(%(start)s::date, '-infinity')
  and e.local_date < coalesce(%(end)s::date, 'infinity')
  and (%(organization)s::text is null or e.organization_id = %(organization)s::text)
  and (%(facility)s::text is null or e.facility_id = %(facility)s::text)
order by e.activity_month, e.occurred_from, e.entry_id
