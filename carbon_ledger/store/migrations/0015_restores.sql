-- A database that was put back to an earlier moment is another history than the heads that had left it. That it
-- was put back is declared, and from then on its heads have another name.
create table audit.restore (
    restore_no      integer not null,
    origin          text not null,
    previous_origin text not null,
    tree_size       bigint not null,
    seen_size       bigint not null,
    seen_note       text not null,
    declared_by     text not null,
    reason          text not null,
    declared_at     timestamptz not null default clock_timestamp(),
    constraint restore_pkey primary key (restore_no),
    constraint restore_origin_is_new unique (origin),
    constraint restore_follows_one_origin unique (previous_origin),
    constraint restore_is_numbered check (restore_no >= 1),
    constraint restore_lost_something check (seen_size > tree_size and tree_size >= 0),
    constraint restore_says_who_and_why check (declared_by <> '' and reason <> '')
);
comment on table audit.restore is 'declared returns of the database to an earlier moment, for an auditor to accept';
comment on column audit.restore.origin is 'the name under which heads are signed from here on';
comment on column audit.restore.tree_size is 'size of the tree of the last head that the database still had: 0 if none';
comment on column audit.restore.seen_size is 'size of the tree of the latest head that had left the database, and is not in it';
comment on column audit.restore.seen_note is 'that head';

select ledger.make_append_only('audit.restore');
grant select on audit.restore to carbon_writer, carbon_reader, carbon_sealer, carbon_verifier, carbon_auditor;
grant insert on audit.restore to carbon_sealer;
