select i.index_id, i.version, i.sha256 from factors.index_row i where i.index_id = any(%(index_ids)s)
