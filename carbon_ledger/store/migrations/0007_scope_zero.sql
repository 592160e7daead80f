-- An event may post a line that enters no total: evidence of 0 kg for what another stream counts, or what is
-- eliminated inside the group. Such a line has scope 0, which no report adds up.
do $$
declare
    place regclass;
begin
    for place in
        select 'ledger.entry'::regclass
        union all
        select inhrelid::regclass from pg_inherits where inhparent = 'ledger.entry'::regclass
    loop
        execute format('alter table %s drop constraint if exists entry_scope_is_known', place);
    end loop;
end
$$;
alter table ledger.entry add constraint entry_scope_is_known check (scope between 0 and 3);
comment on column ledger.entry.scope is '1, 2, 3; 0 where the line enters no total';
