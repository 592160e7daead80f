-- A reported period binds whole reports, as they were kept: their text and every cell. The decision has their ids and
-- one digest of all of it, so that the second person agrees to exactly those, and whoever changes one is seen.

-- Reports as lines of report, snapshot, SHA-256 of its text and SHA-256 of its cells; what is there now, not what it
-- says of itself. Ids that are of no snapshot have no line.
create function ledger.period_reports(report_ids uuid[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(string_agg(
               concat_ws(E'\t', s.report, s.snapshot_id, encode(sha256(convert_to(s.content, 'UTF8')), 'hex'), c.hash)
                   || E'\n',
               '' order by s.report collate "C", s.snapshot_id), '')
    from reports.snapshot s
    cross join lateral (
        select encode(sha256(convert_to(coalesce(string_agg(
                   jsonb_build_array(
                       r.cell_id, r.table_id, r.value::text, r.text_value, r.unit, r.operation, r.concept, r.datapoint,
                       r.year, r.selection, r.inputs, r.entries)::text,
                   E'\n' order by r.cell_id), ''), 'UTF8')), 'hex') as hash
        from reports.cell r
        where r.snapshot_id = s.snapshot_id
    ) c
    where s.snapshot_id = any (report_ids)
$$;
comment on function ledger.period_reports(uuid[]) is
    'kept reports as they are now: report, snapshot, SHA-256 of the text, SHA-256 of the cells, a line each';

alter table ledger.period_decision
    add column report_ids uuid[] not null default '{}',
    add column report_sha256 bytea;
comment on column ledger.period_decision.report_ids is
    'the whole reports (reports.snapshot), all as of as_of, that a reported period binds; none where reported before they were bound';
comment on column ledger.period_decision.report_sha256 is 'SHA-256 of ledger.period_reports(report_ids)';
alter table ledger.period_decision
    add constraint period_decision_reports_whole_reports check (
        (state = 'reported') = (cardinality(report_ids) > 0)
        and (state = 'reported') = (octet_length(report_sha256) is not distinct from 32)) not valid;

create function ledger.check_period_decision_reports() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from unnest(new.report_ids) as named (snapshot_id)
        where not exists (
            select from reports.snapshot s
            where s.snapshot_id = named.snapshot_id and s.organization_id = new.organization_id
              and s.fiscal_year = extract(year from new.first_date) and s.as_of = new.as_of)
    ) or new.state = 'reported' and (
        select count(distinct s.report) from reports.snapshot s where s.snapshot_id = any (new.report_ids)) < 2
    then
        raise exception 'period % does not bind both reports of it as of %', new.period, new.as_of
            using errcode = 'check_violation', constraint = 'period_decision_reports_are_of_it';
    end if;
    if new.state = 'reported'
       and new.report_sha256 is distinct from sha256(convert_to(ledger.period_reports(new.report_ids), 'UTF8')) then
        raise exception 'digest of the reports of period % is not what is kept', new.period
            using errcode = 'check_violation', constraint = 'period_decision_reports_digest';
    end if;
    return null;
end
$$;
create trigger check_period_decision_reports after insert on ledger.period_decision
    for each row execute function ledger.check_period_decision_reports();

-- What two people agreed on is still what is kept. Decided before reports were bound, it has to be decided again.
create function ledger.check_period_state_reports() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if new.state = 'reported' and not exists (
        select from ledger.period_decision d
        where d.decision_id = new.decision_id
          and d.report_sha256 = sha256(convert_to(ledger.period_reports(d.report_ids), 'UTF8'))
    ) then
        raise exception 'period % does not bind the reports it was decided on', new.period
            using errcode = 'check_violation', constraint = 'period_state_binds_its_reports';
    end if;
    return null;
end
$$;
create trigger check_period_state_reports after insert on ledger.period_state
    for each row execute function ledger.check_period_state_reports();

-- As before, and the whole reports that a decision binds: they stay.
create or replace function reports.cited_snapshots() returns setof uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    found record;
begin
    for found in
        select a.attrelid::regclass as place, a.attname as name, a.atttypid = 'uuid[]'::regtype as is_list
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p') and not c.relispartition
        join pg_namespace n on n.oid = c.relnamespace and n.nspname !~ '^(pg_|information_schema$)'
        where not a.attisdropped and a.attnum > 0
          and ((a.attname = 'snapshot_id' and a.atttypid = 'uuid'::regtype)
               or (a.attname in ('snapshot_ids', 'report_ids') and a.atttypid = 'uuid[]'::regtype))
          and (n.nspname, c.relname) not in (
              ('reports', 'snapshot'), ('reports', 'cell'), ('reports', 'esrs_e1'), ('reports', 'snapshot_retired'))
    loop
        return query execute format(
            case when found.is_list then 'select unnest(%I) from %s' else 'select %I from %s where %1$I is not null' end,
            found.name, found.place);
    end loop;
    return query
        select v.unit::uuid from audit.validation v
        where v.suite = 'esrs_e1' and not v.is_success
          and v.unit ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
end
$$;

-- A decision that nobody agreed to for so long is forgotten, not waiting.
create function ledger.check_period_state_is_timely() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from ledger.period_decision d
        where d.decision_id = new.decision_id and d.decided_at < clock_timestamp() - interval '30 days'
    ) then
        raise exception 'what period % rests on was decided more than 30 days ago', new.period
            using errcode = 'check_violation', constraint = 'period_state_decision_is_recent';
    end if;
    return null;
end
$$;
create trigger check_period_state_is_timely after insert on ledger.period_state
    for each row execute function ledger.check_period_state_is_timely();

grant execute on function ledger.period_reports(uuid[])
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;
