select f.factor_id, f.version, f.sha256 from factors.factor f where f.factor_id = any(%(factor_ids)s)
