-- Destroys a person's key and how the person is found; whether there was a key.
select personal.erase_subject(%(subject_ref)s, %(erased_at)s, %(erased_by)s, %(reason)s)
