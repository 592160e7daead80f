-- The latest validation of each unit, the newest unit first.
select *
from (
    select distinct on (v.suite, v.unit)
        v.validation_id, v.suite, v.suite_version, v.suite_sha256, v.target, v.unit, v.as_of, v.is_success,
        v.worst_severity, v.expectations, v.rows_validated, v.failures, v.statistics, v.engine, v.code_version,
        v.run_id, v.recorded_at
    from audit.validation v
    where %(suite)s::text is null or v.suite = %(suite)s
    order by v.suite, v.unit, v.as_of desc, v.recorded_at desc
) as latest
where (not %(failing_only)s or not is_success)
  and (%(severity)s::text is null or worst_severity = %(severity)s)
  and (%(since)s::timestamptz is null or recorded_at >= %(since)s)
order by recorded_at desc, suite, unit
limit %(limit)s
