insert into audit.head (tree_size, prev_size, seal_no, origin, root, note, public_key, signed_at)
values (%(tree_size)s, %(prev_size)s, %(seal_no)s, %(origin)s, %(root)s, %(note)s, %(public_key)s,
        coalesce(%(signed_at)s, clock_timestamp()))
