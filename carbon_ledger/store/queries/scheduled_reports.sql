-- What was made because it was due, the latest due first.
select s.organization_id, s.schedule, s.period, s.report, s.fiscal_year, s.due_at, s.snapshot_id, s.run_id,
       s.code_version, s.recorded_at
from reports.scheduled s
where s.due_at >= %(since)s
order by s.due_at desc, s.organization_id, s.schedule, s.report
