-- Which commits each seal holds, in order.
select seal_no, commit_id, position, first_leaf, entries
from audit.seal_commit order by seal_no, position
