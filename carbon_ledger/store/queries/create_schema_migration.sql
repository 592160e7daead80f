create table if not exists public.schema_migration (
    version    integer not null,
    name       text not null,
    sha256     bytea not null,
    applied_at timestamptz not null default now(),
    constraint schema_migration_pkey primary key (version),
    constraint schema_migration_sha256_is_32_bytes check (octet_length(sha256) = 32)
)
