-- An ERP-like purchasing schema, for tests and for showing change capture: headers and lines of purchase
-- orders, each with a change counter and a deletion flag. Run by the owner of an empty database; the role
-- that captures changes (erp_cdc: LOGIN REPLICATION, nothing else) must exist. May be run again.
create schema if not exists purchasing;

create table if not exists purchasing.purchase_order (
    po_id         text primary key,
    company_code  text not null,
    supplier_id   text not null,
    supplier_land char(2),
    currency      char(3) not null,
    ordered_on    date not null,
    deletion_flag boolean not null default false,
    change_no     integer not null default 0,
    changed_at    timestamptz not null default now()
);

create table if not exists purchasing.purchase_order_line (
    po_id          text not null references purchasing.purchase_order,
    line_no        integer not null,
    item_id        text,
    classification text,
    quantity       numeric(15, 3),
    unit           text,
    net_amount     numeric(15, 2) not null,
    plant          text,
    deletion_flag  boolean not null default false,
    change_no      integer not null default 0,
    changed_at     timestamptz not null default now(),
    primary key (po_id, line_no)
);

create or replace function purchasing.count_change() returns trigger
language plpgsql as $$
begin
    new.change_no := old.change_no + 1;
    new.changed_at := clock_timestamp();
    return new;
end
$$;
create or replace trigger count_change before update on purchasing.purchase_order
    for each row execute function purchasing.count_change();
create or replace trigger count_change before update on purchasing.purchase_order_line
    for each row execute function purchasing.count_change();

-- The log then has all columns of a row that was changed or deleted, as it was before: what the change
-- capture tells of a deletion can be checked against what it told before.
alter table purchasing.purchase_order replica identity full;
alter table purchasing.purchase_order_line replica identity full;

do $$
begin
    if not exists (select from pg_publication where pubname = 'carbon_purchasing') then
        create publication carbon_purchasing for table purchasing.purchase_order, purchasing.purchase_order_line;
    end if;
end
$$;

-- Enough for the first snapshot, and no more.
grant usage on schema purchasing to erp_cdc;
grant select on purchasing.purchase_order, purchasing.purchase_order_line to erp_cdc;
