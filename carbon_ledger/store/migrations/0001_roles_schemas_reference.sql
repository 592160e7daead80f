-- Roles, schemas, factors and reference data. Runs as the migrator, who owns what it creates.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['carbon_writer', 'carbon_reader'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I nologin', role_name);
        end if;
    end loop;
end
$$;

create schema ledger;
create schema manifest;
create schema factors;
create schema reference;
create schema windows;
create schema reports;

comment on schema ledger is 'the append-only entries, their identities, dead letters and accounts';
comment on schema manifest is 'what has been claimed from Kafka, by which batch, and how far it is committed';
comment on schema factors is 'published emission factors as immutable, versioned rows, and the releases they belong to';
comment on schema reference is 'sites and their calendars; dated, two clocks';
comment on schema windows is 'sums of entries by five minutes and by day';
comment on schema reports is 'materialized disclosure tables, each a snapshot';

grant usage on schema ledger, manifest, factors, reference, windows, reports to carbon_writer, carbon_reader;

-- Refuses any change of a row or table that is only ever added to.
create function ledger.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception '% on %.% refused: rows are only ever added; post a correction instead',
        tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

-- Puts the two guards (row changes, truncation) on a table.
create function ledger.make_append_only(target regclass) returns void
language plpgsql as $$
begin
    execute format(
        'create trigger refuse_change before update or delete on %s '
        'for each row execute function ledger.refuse_change()', target);
    execute format(
        'create trigger refuse_truncate before truncate on %s '
        'for each statement execute function ledger.refuse_change()', target);
end
$$;

revoke execute on function ledger.make_append_only(regclass) from public;

create table factors.release (
    release_id   text collate "C" not null,
    sha256       bytea not null,
    factor_count integer not null,
    recorded_at  timestamptz not null default now(),
    constraint release_pkey primary key (release_id),
    constraint release_sha256_is_32_bytes check (octet_length(sha256) = 32),
    constraint release_has_factors check (factor_count > 0)
);
comment on table factors.release is 'a versioned whole of factors; an entry names the release its factor was chosen from';

create table factors.factor (
    factor_id          text collate "C" not null,
    version            integer not null,
    family             text not null,
    publisher          text not null,
    dataset            text not null,
    source_id          text not null,
    country_iso2       text,
    region             text,
    energy_source      text,
    technology         text,
    year               integer,
    valid_from         date,
    valid_to           date,
    boundary           text not null,
    basis              text not null,
    method             text not null,
    unit               text not null,
    kgco2e_per_unit    numeric not null,
    kg_co2_per_unit    numeric,
    kg_ch4_per_unit    numeric,
    kg_n2o_per_unit    numeric,
    gas_split          text not null,
    gwp_set            text not null,
    licence            text not null,
    note               text not null default '',
    attributes         jsonb not null default '{}',
    sha256             bytea not null,
    recorded_at        timestamptz not null default now(),
    constraint factor_pkey primary key (factor_id, version),
    constraint factor_sha256_is_32_bytes check (octet_length(sha256) = 32),
    constraint factor_gas_split_is_known check (gas_split in ('available', 'not_available')),
    constraint factor_is_finite check (kgco2e_per_unit <> 'NaN'::numeric)
);
comment on table factors.factor is 'one published factor, never edited: a new version is a new row';
comment on column factors.factor.kgco2e_per_unit is 'kgCO2e per unit, exactly as published';
comment on column factors.factor.kg_co2_per_unit is 'kg CO2 per unit';
comment on column factors.factor.kg_ch4_per_unit is 'kg CH4 per unit';
comment on column factors.factor.kg_n2o_per_unit is 'kg N2O per unit';

create table factors.release_factor (
    release_id text collate "C" not null references factors.release,
    factor_id  text collate "C" not null,
    version    integer not null,
    constraint release_factor_pkey primary key (release_id, factor_id),
    constraint release_factor_names_a_factor foreign key (factor_id, version) references factors.factor
);

create table factors.writer_schema (
    schema_sha256 bytea not null,
    subject       text not null,
    schema_id     integer not null,
    schema_text   text not null,
    recorded_at   timestamptz not null default now(),
    constraint writer_schema_pkey primary key (schema_id, schema_sha256),
    constraint writer_schema_hash_is_of_the_text
        check (schema_sha256 = sha256(convert_to(schema_text, 'UTF8')))
);
comment on table factors.writer_schema is
    'Avro writer schemas, copied on first sight, so that archived records can be read without the registry';

create table reference.site (
    facility_id     text collate "C" not null,
    organization_id text collate "C" not null,
    country_iso2    text not null,
    region          text,
    time_zone       text not null,
    name            text not null default '',
    valid_from      date not null default '2000-01-01',
    recorded_at     timestamptz not null default now(),
    constraint site_pkey primary key (facility_id, valid_from, recorded_at),
    constraint site_country_is_two_letters check (country_iso2 ~ '^[A-Z]{2}$')
);
comment on table reference.site is
    'a facility, whose it is and whose calendar it keeps, from valid_from until its next row; the row recorded last wins';
comment on column reference.site.time_zone is 'IANA name, e.g. Asia/Seoul; a day of the ledger is a day of this calendar';

select ledger.make_append_only(t) from unnest(array[
    'factors.release', 'factors.factor', 'factors.release_factor', 'factors.writer_schema', 'reference.site'
]::regclass[]) as t;

grant select on all tables in schema factors, reference to carbon_writer, carbon_reader;
grant insert on all tables in schema factors, reference to carbon_writer;
