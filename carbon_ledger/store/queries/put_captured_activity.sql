insert into capture.activity (source, activity_ref, row_key, revision, sent, is_standing)
values (%(source)s, %(activity_ref)s, %(row_key)s, %(revision)s, %(sent)s, %(is_standing)s)
on conflict (source, activity_ref) do update
set row_key = excluded.row_key, revision = excluded.revision, sent = excluded.sent, is_standing = excluded.is_standing
