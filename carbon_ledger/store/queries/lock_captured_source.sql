select pg_try_advisory_lock(7213, hashtext(%(source)s))
