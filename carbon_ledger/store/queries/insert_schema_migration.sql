insert into public.schema_migration (version, name, sha256) values (%s, %s, %s)
