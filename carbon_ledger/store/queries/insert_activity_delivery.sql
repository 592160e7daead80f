insert into ledger.activity_delivery (submission_id, events)
values (%(submission_id)s, %(events)s)
on conflict (submission_id) do nothing
