select r.report, r.organization_id, r.fiscal_year, r.as_of, r.content_sha256, r.retired_at
from reports.snapshot_retired r
where r.snapshot_id = %(snapshot_id)s
limit 1
