select b.batch_id, b.run_id, b.attempt, b.arrival_partition, b.status from manifest.batch b where b.batch_id = %(batch_id)s
