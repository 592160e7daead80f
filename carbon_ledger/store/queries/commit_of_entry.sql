-- The list of postings that an entry is on, by the moment that all of it bear.
select c.commit_id, c.kind, (position(%(entry_id)s::bytea in c.entry_ids) - 1) / 16 as place
from audit.commit c
where c.recorded_at = %(recorded_at)s and position(%(entry_id)s::bytea in c.entry_ids) %% 16 = 1
