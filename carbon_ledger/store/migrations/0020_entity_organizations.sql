-- The API's gate may ask whose an entity is that a caller names, and nothing else of it: who may speak to one
-- organization's ledger must not declare to another's.
create function access.organizations_of(entity text) returns text[]
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select array(select distinct e.organization_id from reference.entity e where e.entity_id = entity order by 1)
$$;
comment on function access.organizations_of(text) is 'every organization an entity was ever stated to be of';
grant execute on function access.organizations_of(text) to carbon_gate;
