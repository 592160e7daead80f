-- The commits of the moment at which the entry was recorded that list its id: where in the list, and as which leaves.
-- `offset 0` keeps the search through a list from being done twice.
select c.commit_id, c.place, s.first_leaf
from (
    select commit_id, position(%(entry_id)s::bytea in entry_ids) as place
    from audit.commit where recorded_at = %(recorded_at)s offset 0
) c
left join audit.seal_commit s using (commit_id)
where c.place > 0
