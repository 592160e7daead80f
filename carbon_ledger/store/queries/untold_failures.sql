-- Failed runs of which a channel was not told, the earliest first, with how often it was tried and when last.
select f.run_id, f.job, f.part, f.error, f.failed_at, count(n.attempt) as attempts, max(n.recorded_at) as last_at
from audit.run_failure f
left join audit.failure_notice n on n.run_id = f.run_id and n.channel = %(channel)s
where f.recorded_at >= %(since)s
group by f.run_id, f.job, f.part, f.error, f.failed_at
having not coalesce(bool_or(n.is_delivered), false)
order by f.failed_at, f.run_id
limit %(limit)s
