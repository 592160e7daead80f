select f.run_id from audit.run_failure f where f.run_id = any(%(run_ids)s)
