-- How each suite stands: its units, each by its latest validation.
with latest as (
    select distinct on (v.suite, v.unit) v.suite, v.unit, v.is_success, v.worst_severity, v.rows_validated, v.recorded_at
    from audit.validation v
    order by v.suite, v.unit, v.as_of desc, v.recorded_at desc
)
select
    l.suite, count(*) as units, count(*) filter (where not l.is_success) as failing,
    count(*) filter (where l.worst_severity = 'critical') as critical, sum(l.rows_validated)::bigint as rows_validated,
    (array_agg(l.unit order by l.recorded_at desc, l.unit desc))[1] as last_unit, max(l.recorded_at) as last_recorded_at
from latest l
group by l.suite
order by l.suite
