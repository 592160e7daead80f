insert into audit.restore
    (restore_no, origin, previous_origin, tree_size, seen_size, seen_note, declared_by, reason)
values
    (%(restore_no)s, %(origin)s, %(previous_origin)s, %(tree_size)s, %(seen_size)s, %(seen_note)s,
     %(declared_by)s, %(reason)s)
returning restore_no, origin, previous_origin, tree_size, seen_size, seen_note, declared_by, reason, declared_at
