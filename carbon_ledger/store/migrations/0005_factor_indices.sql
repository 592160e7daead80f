-- Numbers of a release that are no emission factors: potentials, exchange rates, prices, grid losses.

create table factors.index_row (
    index_id      text collate "C" not null,
    version       integer not null,
    series        text not null,
    key           text not null,
    year          integer,
    value         numeric not null,
    unit          text not null,
    publisher     text not null,
    source_id     text not null,
    quality_flags text[] not null default '{}',
    licence       text not null,
    formula       text not null default '',
    note          text,
    sha256        bytea not null,
    recorded_at   timestamptz not null default now(),
    constraint index_row_pkey primary key (index_id, version),
    constraint index_row_sha256_is_32_bytes check (octet_length(sha256) = 32),
    constraint index_row_is_finite check (value not in ('NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric))
);
comment on table factors.index_row is
    'one published number of a series (a potential, a rate, an index), never edited: a new version is a new row';
comment on column factors.index_row.key is 'what the number is of: set and gas, a currency, a country, a grid region';
comment on column factors.index_row.year is 'calendar year the number is of; null where it is of none';

create table factors.release_index (
    release_id text collate "C" not null references factors.release,
    index_id   text collate "C" not null,
    version    integer not null,
    constraint release_index_pkey primary key (release_id, index_id),
    constraint release_index_names_a_row foreign key (index_id, version) references factors.index_row
);
comment on table factors.release_index is 'which numbers belong to a release, beside its factors';

alter table factors.release add column index_count integer not null default 0;
comment on column factors.release.index_count is 'how many rows of factors.index_row belong to the release';

select ledger.make_append_only(t) from unnest(array[
    'factors.index_row', 'factors.release_index'
]::regclass[]) as t;

grant select on factors.index_row, factors.release_index to carbon_writer, carbon_reader;
grant insert on factors.index_row, factors.release_index to carbon_writer;
