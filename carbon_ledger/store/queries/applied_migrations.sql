select version, name, sha256 from public.schema_migration order by version
