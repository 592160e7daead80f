select r.kind, r.retired from reports.retire_snapshots(%(run)s, %(after_days)s, %(at_most)s) r
