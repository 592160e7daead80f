-- Releases that this very suite has not looked at.
select r.release_id as unit, jsonb_build_object('unit', r.release_id) as parameters
from factors.release r
where r.recorded_at <= %(horizon)s
  and not exists (
    select from audit.validation v
    where v.suite = %(suite)s and v.unit = r.release_id and v.suite_sha256 = %(suite_sha256)s)
order by r.recorded_at, r.release_id
