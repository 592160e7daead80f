-- A person's wrapped key; no row once erased.
select wrapped_key from personal.subject_key where subject_ref = %(subject_ref)s
