-- When each organization's newest snapshot of a report and year was kept; a report's text is long and not read.
select distinct on (s.organization_id) s.organization_id, s.snapshot_id, s.recorded_at
from reports.snapshot s
where s.report = %(report)s and s.fiscal_year = %(fiscal_year)s and s.profile = %(profile)s
order by s.organization_id, s.recorded_at desc
