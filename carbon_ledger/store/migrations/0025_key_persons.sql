-- Who a caller of the API is, told apart from what that person is called: an id, with one name for each id and one
-- id for each name. Approval by two people compares names, so a name must not be of two people.

alter table access.api_key add column person_id text collate "C";
comment on column access.api_key.person_id is 'the person the key is of, the same for all keys of that person; null: of no single person';

alter table access.api_key add constraint api_key_person_is_well_formed
    check (person_id ~ '^[A-Za-z0-9._:/+-]{1,128}$');
-- Of keys that are made from now on: older ones without a person are refused by the API where a person is needed.
alter table access.api_key add constraint api_key_of_activities_is_of_a_person
    check (person_id is not null or not scopes && array['activities:submit', 'activities:approve']) not valid;

create function access.check_key_person() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(7224, 0);
    if exists (
        select from access.api_key k
        where k.key_id <> new.key_id
          and (k.person_id = new.person_id) <> (lower(btrim(k.holder)) = lower(btrim(new.holder)))
    ) then
        raise exception 'key % confuses two people or two names', new.key_id
            using errcode = 'check_violation', constraint = 'api_key_person_has_one_name';
    end if;
    return null;
end
$$;
comment on function access.check_key_person() is 'one name for each person with a key, one person for each name';
revoke all on function access.check_key_person() from public;
create trigger check_key_person after insert on access.api_key
    for each row execute function access.check_key_person();
