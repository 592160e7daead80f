-- Sums over every line, reversals included: what was taken back cancels out, and as of any moment the sum
-- is what stood then. Scopes, bases and units never meet in one row.
select
    case %(by)s::text
        when 'country' then e.country_iso2
        when 'facility' then e.facility_id
        when 'month' then to_char(e.activity_month, 'YYYY-MM')
        when 'day' then e.local_date::text
        when 'organization' then e.organization_id
        when 'activity' then e.activity_type
        when 'stream' then e.stream
        else ''
    end as key,
    e.scope,
    e.category,
    e.basis,
    e.unit,
    sum(e.quantity) as quantity,
    sum(e.kgco2e) as kgco2e,
    sum(case when e.reverses_id is null then 1 else -1 end)::bigint as entries,
    count(*) as lines
from ledger.entry e
where (%(as_of)s::timestamptz is null or e.recorded_at <= %(as_of)s::timestamptz)
  and e.activity_month >= coalesce(date_trunc('month', %(start)s::date::timestamp)::date, '-infinity')
  and e.activity_month < coalesce(%(end)s::date, 'infinity')
  and e.local_date >= coalesce(%(start)s::date, '-infinity')
  and e.local_date < coalesce(%(end)s::date, 'infinity')
  and (%(organization)s::text is null or e.organization_id = %(organization)s::text)
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
