-- Which vault keys the persons' keys are wrapped with: at most one, or something is wrong.
select distinct key_id from personal.subject_key order by key_id limit 2
