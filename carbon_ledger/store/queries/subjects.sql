-- Pseudonyms in order of their making, or the one asked for, and what became of their keys.
select s.subject_ref, s.organization_id, s.created_at, k.subject_ref is not null as has_key,
       e.erased_at, e.erased_by, e.reason
from personal.subject s
left join personal.subject_key k using (subject_ref)
left join personal.erasure e using (subject_ref)
where %(subject_ref)s::text is null or s.subject_ref = %(subject_ref)s
order by s.created_at, s.subject_ref
