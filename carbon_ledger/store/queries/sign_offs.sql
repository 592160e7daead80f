-- Sign-offs, the newest first, each with whether it stands: no later one is of the same subject.
select s.sign_off_id, s.organization_id, s.subject_kind, s.snapshot_id, s.cell_id, s.entry_id, s.method, s.seed, s.size,
       s.subject_sha256, s.verdict, s.note, s.key_id, s.signed_by, s.person_id, s.recorded_at,
       not exists (
           select from audit.sign_off l
           where l.sign_off_id > s.sign_off_id and l.organization_id = s.organization_id
             and l.subject_kind = s.subject_kind
             and (s.entry_id is null or l.entry_id = s.entry_id)
             and (s.snapshot_id is null or l.snapshot_id = s.snapshot_id)
             and (l.cell_id, l.method, l.seed, l.size) is not distinct from (s.cell_id, s.method, s.seed, s.size)
       ) as stands
from audit.sign_off s
where (%(organization)s::text is null or s.organization_id = %(organization)s::text)
  and (%(kind)s::text is null or s.subject_kind = %(kind)s::text)
  and (%(snapshot_id)s::uuid is null or s.snapshot_id = %(snapshot_id)s::uuid)
  and (%(cell_id)s::text is null or s.cell_id = %(cell_id)s::text)
  and (%(entry_id)s::uuid is null or s.entry_id = %(entry_id)s::uuid)
  and (%(before)s::bigint is null or s.sign_off_id < %(before)s::bigint)
order by s.sign_off_id desc
limit %(limit)s
