select restore_no, previous_origin, origin, tree_size, seen_size, seen_note, declared_by, reason, declared_at
from audit.restore
order by restore_no
