-- Kept reports of an organization and year as of exactly a moment, the one kept last first.
select s.snapshot_id, s.report, s.profile, s.content_sha256
from reports.snapshot s
where s.organization_id = %(organization)s and s.fiscal_year = %(fiscal_year)s and s.as_of = %(as_of)s
order by s.recorded_at desc, s.snapshot_id
