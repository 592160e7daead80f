-- What each batch of the hour posted is what it added to the windows of the same days, to the last digit.
with posted as (
    select batch_id, min(stream) as stream, sum(kgco2e) as kgco2e, sum(quantity) as quantity
    from {batch}
    where batch_id is not null
    group by batch_id
),
day as (
    select distinct local_date from {batch} where batch_id is not null
),
added as (
    select d.batch_id, sum(d.kgco2e) as kgco2e, sum(d.quantity) as quantity
    from windows.five_minute_delta d
    where d.local_date in (select local_date from day) and d.batch_id in (select batch_id from posted)
    group by d.batch_id
)
select p.stream, p.batch_id, p.kgco2e::text as entries, coalesce(a.kgco2e, 0)::text as windows
from posted p
left join added a using (batch_id)
where (p.kgco2e, p.quantity) is distinct from (coalesce(a.kgco2e, 0), coalesce(a.quantity, 0))
