select s.snapshot_id, s.report, s.profile, s.content_sha256
from reports.snapshot s
where s.snapshot_id = any(%(report_ids)s::uuid[])
order by s.report, s.snapshot_id
