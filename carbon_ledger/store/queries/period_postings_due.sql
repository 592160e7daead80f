-- What is still to be posted of an organization's period as known at a moment: the period postings of the calendar
-- years it is in, if meters or vehicles were posted to, or reference data came, after they were last looked at; and
-- entries that supersession had not looked at. What is posted of them later is late.
with part as (
    select p.year, p.first_day, p.end_day
    from unnest(%(years)s::integer[], %(begins)s::date[], %(ends)s::date[]) as p (year, first_day, end_day)
),
changed as (
    select p.year,
           greatest(
               max(d.recorded_at),
               (select max(a.recorded_at) from reference.application a where a.recorded_at <= %(as_of)s)) as at
    from part p
    join windows.five_minute_delta d on d.local_date >= p.first_day and d.local_date < p.end_day
    where d.organization_id = %(organization)s
      and d.recorded_at <= %(as_of)s
      and d.basis in ('location', 'combustion') and d.scope in (1, 2)
      and (d.activity_type like 'electricity:%%' or d.activity_type like 'self_generated:%%'
           or d.activity_type like 'fuel:%%' or d.activity_type in ('heat', 'steam', 'cooling', 'vehicle_electricity'))
    group by p.year
),
looked as (
    select p.year, max(r.known_at) as at
    from part p
    left join ledger.period_run r on r.fiscal_year = p.year and r.known_at <= %(as_of)s
    group by p.year
),
waiting as (
    select count(*) as entries, min(e.recorded_at) as since
    from ledger.entry e
    where e.stream in ('procurement', 'supplier')
      and e.organization_id = %(organization)s
      and e.activity_month >= %(first_date)s and e.activity_month < %(end_date)s
      and e.recorded_at <= %(as_of)s
      and not exists (
          select from ledger.claim_entry c where c.entry_id = e.entry_id and c.taken_at <= %(as_of)s)
    having count(*) > 0
)
select format(
           'period postings of %%s, what they rest on changed at %%s, they were %%s', c.year,
           to_char(c.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           coalesce('last looked at ' || to_char(l.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                    'never looked at')) as what
from changed c
join looked l using (year)
where l.at is null or c.at > l.at
union all
select format('supersession of %%s entries, the oldest recorded at %%s', w.entries,
              to_char(w.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
from waiting w
order by 1
