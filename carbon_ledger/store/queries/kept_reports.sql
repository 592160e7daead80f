-- Reports that are kept, without their texts, the newest first, after a place.
select s.snapshot_id, s.report, s.organization_id, s.fiscal_year, s.profile, s.as_of, s.code_version, s.run_id,
       s.content_sha256, s.recorded_at
from reports.snapshot s
where s.organization_id = %(organization)s
  and (%(before_at)s::timestamptz is null
       or (s.recorded_at, s.snapshot_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
order by s.recorded_at desc, s.snapshot_id desc
limit %(limit)s
