insert into factors.writer_schema (schema_sha256, subject, schema_id, schema_text)
values (%(schema_sha256)s, %(subject)s, %(schema_id)s, %(schema_text)s)
on conflict (schema_id, schema_sha256) do nothing
