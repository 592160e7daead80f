-- A new pseudonym with its key.
with subject as (
    insert into personal.subject (subject_ref, organization_id) values (%(subject_ref)s, %(organization_id)s)
)
insert into personal.subject_key (subject_ref, lookup, wrapped_key, key_id)
values (%(subject_ref)s, %(lookup)s, %(wrapped_key)s, %(key_id)s)
