-- Years whose meters, or vehicles that are charged elsewhere, were posted to, or for which reference data came, after their period postings were last
-- looked at; and when that was.
with metered as (
    select extract(year from d.local_date)::integer as fiscal_year, max(d.recorded_at) as changed_at
    from windows.five_minute_delta d
    where d.basis in ('location', 'combustion')
      and (d.activity_type like 'electricity:%%' or d.activity_type like 'self_generated:%%'
           or d.activity_type like 'fuel:%%' or d.activity_type in ('heat', 'steam', 'cooling', 'vehicle_electricity'))
      and d.scope in (1, 2)
    group by 1
),
looked as (
    select r.fiscal_year, max(r.known_at) as looked_at from ledger.period_run r group by 1
)
select m.fiscal_year, l.looked_at
from metered m
left join looked l using (fiscal_year)
where l.looked_at is null
   or m.changed_at > l.looked_at
   or exists (select from reference.application a where a.recorded_at > l.looked_at)
order by m.fiscal_year
