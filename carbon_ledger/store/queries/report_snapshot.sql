select s.* from reports.snapshot s where s.snapshot_id = %(snapshot_id)s
