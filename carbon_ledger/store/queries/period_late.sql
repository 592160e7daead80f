-- What was recorded of a period in (after, until], summed as the period's figures are; null: no end.
select e.scope, coalesce(e.category, 0) as category, e.basis, sum(e.kgco2e) as kgco2e,
       coalesce(sum(e.kg_co2_biogenic), 0::numeric(38, 12)) as kg_co2_biogenic,
       sum(case when e.reverses_id is null then 1 else -1 end)::bigint as entries, count(*) as lines
from ledger.entry e
where e.organization_id = %(organization)s
  and e.activity_month >= %(first_date)s and e.activity_month < %(end_date)s
  and e.recorded_at > %(after)s and (%(until)s::timestamptz is null or e.recorded_at <= %(until)s::timestamptz)
group by 1, 2, 3
order by 1, 2, 3
