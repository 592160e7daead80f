-- What was recorded of a year after one moment and up to another, by what reports tell entries apart by and by why it
-- was: the restatement, the correction's own words, a later revision of a record, a supersession, a period posting that
-- followed the entries it rests on, otherwise late. A new line of a correction has its cause, as its reversal has.
select
    e.scope, e.category, e.basis, e.stream, e.facility_id, e.country_iso2, e.activity_type, e.unit,
    coalesce(e.method, '') as method, e.gwp_set, e.gas_split, e.factor_id, e.factor_version, e.formula_id,
    case
        when e.cause ~ '^restatement R-[0-9]+' then substring(e.cause from '^restatement R-[0-9]+')
        when e.stream = 'period_postings' then 'period postings that followed'
        when e.cause ~ '^claim ' then 'supersession'
        when e.cause ~ '^revision [0-9]+ of ' or e.cause is null and e.event_id ~ '#[1-9][0-9]*$'
            then 'later revisions'
        when e.cause is not null then 'correction: ' || e.cause
        else 'late entries'
    end as why,
    sum(e.kgco2e) as kgco2e,
    count(*)::bigint as lines,
    (array_agg(e.entry_id order by e.recorded_at, e.entry_id))[1:3] as entry_ids
from ledger.entry e
where e.organization_id = %(organization)s::text
  and e.recorded_at > %(after)s and e.recorded_at <= %(until)s
  and e.activity_month >= %(begin)s and e.activity_month < %(end)s
  and e.local_date >= %(begin)s and e.local_date < %(end)s
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
order by 15, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
