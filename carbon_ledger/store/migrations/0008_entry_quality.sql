-- How good a figure is, kept with the figure and in its hash: method, rule, rank, primary share, scores.

-- A constant default is not written into the rows that there are, so months of any size are done at once.
alter table ledger.entry
    add column preimage          smallint not null default 1,
    add column method            text,
    add column rule_id           text,
    add column supersession_rank smallint,
    add column primary_share     numeric,
    add column activity_scores   text,
    add column factor_scores     text;
alter table ledger.entry alter column preimage set default 2;
alter table ledger.entry
    add constraint entry_preimage_is_known check (preimage in (1, 2)),
    add constraint entry_preimage_1_says_no_quality
        check (preimage <> 1
               or num_nonnulls(method, rule_id, supersession_rank, primary_share, activity_scores, factor_scores) = 0),
    add constraint entry_supersession_rank_is_known check (supersession_rank between 0 and 6),
    add constraint entry_primary_share_is_a_share check (primary_share between 0 and 1),
    add constraint entry_activity_scores_are_five check (activity_scores ~ '^[1-4](,[1-4]){4}$'),
    add constraint entry_factor_scores_are_five check (factor_scores ~ '^[1-4](,[1-4]){4}$');
-- Of new rows only: whoever could still write version 1 could leave out of the hash what is asked of it now.
alter table ledger.entry add constraint entry_preimage_is_the_present_one check (preimage = 2) not valid;

comment on column ledger.entry.preimage is
    'version of the canonical bytes that content_sha256 is of: 1 has no method to factor_scores, 2 has';
comment on column ledger.entry.method is
    'how the figure was calculated: a method of the Scope 3 Standard, or measured, estimated, evidence, ...';
comment on column ledger.entry.rule_id is 'the rule that put it into its scope and category, e.g. S2-PURCHASED-ENERGY';
comment on column ledger.entry.supersession_rank is
    'which figure of one claim wins: 1 spend to 6 verified product footprint; 0 where nothing supersedes it';
comment on column ledger.entry.primary_share is 'share of the figure that is primary data, 0 to 1';
comment on column ledger.entry.activity_scores is
    'scores of the activity data, 1 very good to 4 poor: technology,time,geography,completeness,reliability (Scope 3 Standard, table 7.6)';
comment on column ledger.entry.factor_scores is 'scores of the emission factor, as activity_scores';

-- Views remember the columns that there were when they were made.
create or replace view ledger.iot_energy as
    select * from ledger.entry where stream = 'iot_energy';
create or replace view ledger.active_entry as
    select e.* from ledger.entry e
    where e.reverses_id is null
      and not exists (select from ledger.reversal r where r.entry_id = e.entry_id);

-- As before, and of the new columns: what is taken back is taken back as good as it was.
create or replace function ledger.check_reversal() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    original ledger.entry;
begin
    select * into original from ledger.entry e
    where e.activity_month = new.activity_month and e.entry_id = new.reverses_id;
    if not found then
        raise exception 'entry % of month % to be reversed does not exist', new.reverses_id, new.activity_month
            using errcode = 'foreign_key_violation', constraint = 'reversal_names_an_entry';
    end if;
    if original.reverses_id is not null then
        raise exception 'entry % is itself a reversal and cannot be reversed; post a new entry', new.reverses_id
            using errcode = 'check_violation', constraint = 'reversal_is_not_of_a_reversal';
    end if;
    if new.recorded_at < original.recorded_at
       or (new.organization_id, new.event_id, new.line_no, new.claim_key, new.stream, new.local_date,
           new.occurred_from, new.occurred_to, new.scope, new.category, new.basis, new.facility_id, new.country_iso2,
           new.region, new.activity_type, new.unit, new.gas_split, new.gwp_set, new.factor_id, new.factor_version,
           new.factor_release, new.flags,
           new.method, new.rule_id, new.supersession_rank, new.primary_share, new.activity_scores, new.factor_scores,
           -new.quantity, -new.kgco2e, -new.kg_co2_fossil, -new.kg_co2_biogenic, -new.kg_ch4, -new.kg_n2o,
           -new.kgco2e_granular)
          is distinct from
          (original.organization_id, original.event_id, original.line_no, original.claim_key, original.stream, original.local_date,
           original.occurred_from, original.occurred_to, original.scope, original.category, original.basis, original.facility_id, original.country_iso2,
           original.region, original.activity_type, original.unit, original.gas_split, original.gwp_set, original.factor_id, original.factor_version,
           original.factor_release, original.flags,
           original.method, original.rule_id, original.supersession_rank, original.primary_share, original.activity_scores, original.factor_scores,
           original.quantity, original.kgco2e, original.kg_co2_fossil, original.kg_co2_biogenic, original.kg_ch4, original.kg_n2o,
           original.kgco2e_granular)
       or exists (
           select from jsonb_each_text(coalesce(original.other_gases, '{}')) a
           full join jsonb_each_text(coalesce(new.other_gases, '{}')) b using (key)
           where a.value::numeric + b.value::numeric is distinct from 0
       )
    then
        raise exception 'reversal % is not the negative of entry %', new.entry_id, new.reverses_id
            using errcode = 'check_violation', constraint = 'reversal_is_the_negative';
    end if;
    insert into ledger.reversal (entry_id, reversal_entry_id, activity_month, recorded_at)
    values (new.reverses_id, new.entry_id, new.activity_month, new.recorded_at);
    return null;
end
$$;
