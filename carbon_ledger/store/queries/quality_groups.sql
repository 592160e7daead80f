-- Entries that stand (as of a moment, or now), by how good they are: as many rows as there are kinds of
-- quality, however many entries. `weight` is the absolute kgCO2e: a credit weighs as its charge does.
select
    case %(by)s::text
        when 'country' then e.country_iso2
        when 'facility' then e.facility_id
        when 'month' then to_char(e.activity_month, 'YYYY-MM')
        when 'day' then e.local_date::text
        when 'organization' then e.organization_id
        when 'activity' then e.activity_type
        when 'stream' then e.stream
        when 'method' then coalesce(e.method, '')
        else ''
    end as key,
    e.scope,
    e.category,
    e.basis,
    e.activity_scores,
    e.factor_scores,
    e.primary_share,
    sum(e.kgco2e) as kgco2e,
    sum(abs(e.kgco2e)) as weight,
    count(*) as entries
from ledger.entry e
where e.reverses_id is null
  and (%(as_of)s::timestamptz is null or e.recorded_at <= %(as_of)s::timestamptz)
  and not exists (
      select from ledger.reversal r
      where r.entry_id = e.entry_id
        and (%(as_of)s::timestamptz is null or r.recorded_at <= %(as_of)s::timestamptz)
  )
  and (%(year)s::integer is null
       or e.activity_month between make_date(%(year)s::integer, 1, 1) and make_date(%(year)s::integer, 12, 1))
  and (%(organization)s::text is null or e.organization_id = %(organization)s::text)
group by 1, 2, 3, 4, 5, 6, 7
order by 1, 2, 3, 4, 5, 6, 7
