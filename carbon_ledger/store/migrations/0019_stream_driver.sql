-- Who drives a stream without runs, if anybody does. While its lease lasts, the planner claims nothing of the stream.
create table manifest.driver (
    stream            text collate "C" not null,
    driver            text not null,
    epoch             integer not null default 1,
    lease_until       timestamptz not null,
    taken_at          timestamptz not null default clock_timestamp(),
    reported_batch_id bigint not null default 0,
    constraint driver_pkey primary key (stream),
    constraint driver_drives_a_stream foreign key (stream) references manifest.stream,
    constraint driver_has_a_name check (driver <> ''),
    constraint driver_epoch_is_positive check (epoch >= 1 and reported_batch_id >= 0)
);
comment on table manifest.driver is 'the continuous driver that holds a stream, or the last one that did';
comment on column manifest.driver.epoch is 'number of the driver, from 1; an earlier one claims nothing any more';
comment on column manifest.driver.lease_until is 'until then the planner leaves the stream to the driver';
comment on column manifest.driver.reported_batch_id is
    'the last batch of a continuous driver that Dagster was told of: a hint, telling it again does no harm';

grant select on manifest.driver to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert, update on manifest.driver to carbon_writer;
