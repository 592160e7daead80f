insert into audit.run_failure (run_id, job, part, error, failed_at)
values (%(run_id)s, %(job)s, %(part)s, %(error)s, %(failed_at)s)
on conflict (run_id) do nothing
