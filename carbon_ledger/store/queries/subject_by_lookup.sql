-- The pseudonym of whom a source calls by the id behind this lookup.
select subject_ref from personal.subject_key where lookup = %(lookup)s
