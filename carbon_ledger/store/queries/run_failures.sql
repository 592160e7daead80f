-- Failed runs, the last one first, and by channel how often word of them was sent and whether it arrived.
select f.run_id, f.job, f.part, f.error, f.failed_at,
       coalesce(n.told, '{}') as told
from audit.run_failure f
left join lateral (
    select array_agg(format('%%s: %%s', c.channel, c.outcome) order by c.channel) as told
    from (
        select distinct on (a.channel) a.channel,
               case when a.is_delivered then 'delivered' else format('attempt %%s: %%s', a.attempt, a.outcome) end as outcome
        from audit.failure_notice a
        where a.run_id = f.run_id
        order by a.channel, a.is_delivered desc, a.attempt desc
    ) c
) n on true
where f.failed_at >= %(since)s
order by f.failed_at desc, f.run_id
limit %(limit)s
