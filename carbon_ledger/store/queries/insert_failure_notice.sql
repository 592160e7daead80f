insert into audit.failure_notice (run_id, channel, attempt, is_delivered, outcome)
values (%(run_id)s, %(channel)s, %(attempt)s, %(is_delivered)s, %(outcome)s)
on conflict (run_id, channel, attempt) do nothing
