update manifest.batch set status = 'done', finished_at = clock_timestamp() where batch_id = %(batch_id)s
