select s.*
from reports.snapshot s
where s.report = %(report)s
  and (%(fiscal_year)s::integer is null or s.fiscal_year = %(fiscal_year)s::integer)
  and (%(organization)s::text is null or s.organization_id = %(organization)s::text)
  and (%(profile)s::text is null or s.profile = %(profile)s::text)
order by s.recorded_at desc, s.organization_id, s.snapshot_id
