-- Reference data of every kind: dated statements, two clocks, only ever added to.
--
-- Each table has a row per statement: what holds about a key on the days [valid_from, valid_to), and
-- when that was recorded. Of the rows with one key and valid_from the one recorded last holds; a row
-- without valid_to holds until the next valid_from of its key; valid_to = valid_from never held.
-- Bounds on numbers name infinity because NaN sorts above it.

comment on schema reference is
    'entities, sites, meters, vehicles, suppliers, contracts, revenue and budgets; dated, two clocks';

create table reference.application (
    recorded_at   timestamptz not null,
    source        text not null,
    source_sha256 bytea not null,
    added         integer not null,
    superseded    integer not null,
    ended         integer not null,
    applied_by    text not null default session_user,
    constraint application_pkey primary key (recorded_at),
    constraint application_sha256_is_32_bytes check (octet_length(source_sha256) = 32),
    constraint application_changes_something check (added + superseded + ended > 0)
);
comment on table reference.application is
    'a file of reference data that changed something; its statements bear the same recorded_at';
comment on column reference.application.source_sha256 is
    'SHA-256 of the files'' names, lengths and bytes, in order of their names';
comment on column reference.application.added is 'statements of a key and valid_from not known before';
comment on column reference.application.superseded is 'statements that replace an earlier one';
comment on column reference.application.ended is 'statements that only bring an earlier end';

alter table reference.site
    add column valid_to                date,
    add column entity_id               text collate "C",
    add column fiscal_year_first_month integer,
    add column market                  text collate "C",
    add column zone                    text collate "C",
    add column lease_role              text,
    add column lease_type              text,
    add column area_m2                 numeric,
    add column building_area_m2        numeric,
    add constraint site_does_not_end_before_it_begins check (valid_to >= valid_from),
    add constraint site_fiscal_month_is_a_month check (fiscal_year_first_month between 1 and 12),
    add constraint site_lease_is_whole check ((lease_role is null) = (lease_type is null)),
    add constraint site_lease_role_is_known check (lease_role in ('lessee', 'lessor')),
    add constraint site_lease_type_is_known check (lease_type in ('finance', 'operating')),
    add constraint site_area_is_positive check (area_m2 > 0 and area_m2 < 'infinity'),
    add constraint site_building_area_is_positive check (building_area_m2 > 0 and building_area_m2 < 'infinity'),
    add constraint site_area_is_within_the_building check (area_m2 <= building_area_m2);
comment on column reference.site.valid_to is 'the day it is no longer in force; null: until the next row';
comment on column reference.site.entity_id is 'the legal entity that runs it';
comment on column reference.site.fiscal_year_first_month is '1 to 12; null: as the inventory''s policy';
comment on column reference.site.market is 'market of its energy instruments; null: its country';
comment on column reference.site.zone is 'deliverability zone for hourly matching';
comment on column reference.site.lease_role is 'lessee: leased in, lessor: leased out; null: no lease';
comment on column reference.site.area_m2 is 'the reporter''s own area, m2';
comment on column reference.site.building_area_m2 is 'the whole building''s area, m2';

create table reference.entity (
    entity_id               text collate "C" not null,
    organization_id         text collate "C" not null,
    kind                    text not null,
    name                    text not null,
    country_iso2            text,
    in_value_chain          boolean not null,
    fiscal_year_first_month integer,
    valid_from              date not null,
    valid_to                date,
    recorded_at             timestamptz not null,
    constraint entity_pkey primary key (entity_id, valid_from, recorded_at),
    constraint entity_kind_is_known check (kind in ('parent', 'subsidiary', 'associate',
        'joint_venture', 'joint_operation', 'unconsolidated', 'franchise')),
    constraint entity_country_is_two_letters check (country_iso2 ~ '^[A-Z]{2}$'),
    constraint entity_fiscal_month_is_a_month check (fiscal_year_first_month between 1 and 12),
    constraint entity_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.entity is 'legal entities and joint arrangements, and how the group accounts for them';
comment on column reference.entity.in_value_chain is
    'whether it is a supplier or customer; asked of what lies outside the boundary';

create table reference.ownership (
    entity_id           text collate "C" not null,
    parent_id           text collate "C" not null,
    equity_share        text collate "C" not null,
    financial_control   boolean not null,
    operational_control boolean not null,
    valid_from          date not null,
    valid_to            date,
    recorded_at         timestamptz not null,
    constraint ownership_pkey primary key (entity_id, parent_id, valid_from, recorded_at),
    constraint ownership_is_of_another check (entity_id <> parent_id),
    constraint ownership_share_is_a_fraction check (equity_share ~ '^(0|1|[1-9][0-9]*/[1-9][0-9]*)$'),
    constraint ownership_share_is_at_most_one check (
        case when equity_share like '%/%'
            then split_part(equity_share, '/', 1)::numeric <= split_part(equity_share, '/', 2)::numeric
            else true end),
    constraint ownership_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.ownership is 'the stake a parent has in an entity, and the control that goes with it';
comment on column reference.ownership.equity_share is 'exact share from 0 to 1, as a fraction in lowest terms';

create table reference.meter (
    meter_id                     text collate "C" not null,
    facility_id                  text collate "C" not null,
    kind                         text not null,
    carrier                      text not null,
    unit                         text not null,
    parent_id                    text collate "C",
    reading                      text not null,
    register_size                numeric,
    calorific_value_kwh_per_unit numeric,
    heating_value                text,
    name                         text not null,
    valid_from                   date not null,
    valid_to                     date,
    recorded_at                  timestamptz not null,
    constraint meter_pkey primary key (meter_id, valid_from, recorded_at),
    constraint meter_kind_is_known check (kind in ('main', 'sub', 'virtual')),
    constraint meter_carrier_is_known check (carrier in ('electricity', 'solar', 'gas', 'heat', 'steam', 'cooling')),
    constraint meter_reading_is_known check (reading in ('interval', 'cumulative')),
    constraint meter_is_not_below_itself check (meter_id <> parent_id),
    constraint meter_place_follows_its_kind check (
        case kind when 'main' then parent_id is null when 'sub' then parent_id is not null else true end),
    constraint meter_register_is_of_a_cumulative_one check (register_size is null or reading = 'cumulative'),
    constraint meter_register_is_positive check (register_size > 0 and register_size < 'infinity'),
    constraint meter_calorific_value_is_positive check (calorific_value_kwh_per_unit > 0 and calorific_value_kwh_per_unit < 'infinity'),
    constraint meter_heating_value_is_known check (heating_value in ('gross', 'net')),
    constraint meter_heating_value_is_whole check ((calorific_value_kwh_per_unit is null) = (heating_value is null)),
    constraint meter_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.meter is 'meters, the tree they form, and how their readings are taken';
comment on column reference.meter.unit is 'unit of its readings';
comment on column reference.meter.register_size is 'reading at which a cumulative register starts again from 0, in its unit';
comment on column reference.meter.calorific_value_kwh_per_unit is 'kWh per unit of gas, on the heating value stated';

create table reference.vehicle (
    vehicle_id          text collate "C" not null,
    ownership           text not null,
    vehicle_class       text not null,
    fuel                text,
    entity_id           text collate "C",
    facility_id         text collate "C",
    lease_type          text,
    operational_control boolean,
    country_iso2        text,
    payload_kg          numeric,
    l_per_100km_min     numeric,
    l_per_100km_max     numeric,
    valid_from          date not null,
    valid_to            date,
    recorded_at         timestamptz not null,
    constraint vehicle_pkey primary key (vehicle_id, valid_from, recorded_at),
    constraint vehicle_ownership_is_known check (
        ownership in ('own', 'leased', 'carrier', 'customer_carrier', 'rental', 'employee')),
    constraint vehicle_lease_is_whole check ((ownership = 'leased') = (lease_type is not null)),
    constraint vehicle_lease_type_is_known check (lease_type in ('finance', 'operating')),
    constraint vehicle_country_is_two_letters check (country_iso2 ~ '^[A-Z]{2}$'),
    constraint vehicle_payload_is_positive check (payload_kg > 0 and payload_kg < 'infinity'),
    constraint vehicle_band_is_in_order check (l_per_100km_min <= l_per_100km_max),
    constraint vehicle_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.vehicle is 'vehicles and whose they are, from which scope and category follow';
comment on column reference.vehicle.payload_kg is 'what it may carry, kg';
comment on column reference.vehicle.l_per_100km_min is 'least plausible fuel use, L per 100 km';
comment on column reference.vehicle.l_per_100km_max is 'most plausible fuel use, L per 100 km';

create table reference.supplier (
    supplier_id  text collate "C" not null,
    country_iso2 text not null,
    sector       text,
    entity_id    text collate "C",
    name         text not null,
    valid_from   date not null,
    valid_to     date,
    recorded_at  timestamptz not null,
    constraint supplier_pkey primary key (supplier_id, valid_from, recorded_at),
    constraint supplier_country_is_two_letters check (country_iso2 ~ '^[A-Z]{2}$'),
    constraint supplier_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.supplier is 'suppliers; entity_id where one belongs to the group or is an associate';

create table reference.supplier_item (
    supplier_id       text collate "C" not null,
    product_id        text collate "C" not null,
    item_id           text collate "C" not null,
    unit              text,
    units_per_product numeric,
    valid_from        date not null,
    valid_to          date,
    recorded_at       timestamptz not null,
    constraint supplier_item_pkey primary key (supplier_id, product_id, valid_from, recorded_at),
    constraint supplier_item_amount_is_positive check (units_per_product > 0 and units_per_product < 'infinity'),
    constraint supplier_item_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.supplier_item is 'which of our items a supplier''s product is';
comment on column reference.supplier_item.units_per_product is 'how many of our units one of the supplier''s products is';

create table reference.instrument (
    instrument_id                 text collate "C" not null,
    kind                          text not null,
    carrier                       text not null,
    facility_id                   text collate "C",
    market                        text collate "C",
    zone                          text collate "C",
    generation_source             text not null,
    emission_rate_kgco2e_per_kwh  numeric not null,
    biogenic_co2_kg_per_kwh       numeric,
    volume_kwh                    numeric,
    vintage_from                  timestamptz,
    vintage_to                    timestamptz,
    granularity                   text not null,
    serial_no                     text collate "C",
    serial_no_to                  text collate "C",
    retirement                    text not null,
    retired_on                    date,
    retirement_evidence           text not null,
    conveys_emission_rate         boolean not null,
    is_only_claim                 boolean not null,
    is_tracked_and_retired        boolean not null,
    has_close_vintage             boolean not null,
    is_of_same_market             boolean not null,
    is_net_of_sold_certificates   boolean,
    passes_all_claims             boolean,
    has_residual_mix_or_discloses boolean not null,
    valid_from                    date not null,
    valid_to                      date,
    recorded_at                   timestamptz not null,
    constraint instrument_pkey primary key (instrument_id, valid_from, recorded_at),
    constraint instrument_kind_is_known check (kind in ('certificate_bundled', 'certificate_unbundled',
        'ppa', 'supplier_rate', 'residual_mix')),
    constraint instrument_carrier_is_known check (carrier in ('electricity', 'heat', 'steam', 'cooling')),
    constraint instrument_granularity_is_known check (granularity in ('year', 'month', 'day', 'hour')),
    constraint instrument_retirement_is_known check (retirement in ('none', 'retired', 'cancelled')),
    constraint instrument_has_a_place check (facility_id is not null or market is not null),
    constraint instrument_rate_is_not_negative check (
        emission_rate_kgco2e_per_kwh >= 0 and emission_rate_kgco2e_per_kwh < 'infinity'),
    constraint instrument_biogenic_is_not_negative check (biogenic_co2_kg_per_kwh >= 0 and biogenic_co2_kg_per_kwh < 'infinity'),
    constraint instrument_volume_is_positive check (volume_kwh > 0 and volume_kwh < 'infinity'),
    constraint instrument_vintage_is_whole check ((vintage_from is null) = (vintage_to is null)),
    constraint instrument_vintage_is_in_order check (vintage_from < vintage_to),
    constraint instrument_certificate_is_whole check (kind not in ('certificate_bundled', 'certificate_unbundled')
        or (volume_kwh is not null and vintage_from is not null and serial_no is not null)),
    constraint instrument_retirement_is_evident check (
        retirement = 'none' or (retired_on is not null and retirement_evidence <> '')),
    constraint instrument_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.instrument is
    'energy certificates and contracts; valid on the days whose consumption may be claimed with them';
comment on column reference.instrument.emission_rate_kgco2e_per_kwh is 'kgCO2e per kWh';
comment on column reference.instrument.biogenic_co2_kg_per_kwh is 'kg biogenic CO2 per kWh, reported apart';
comment on column reference.instrument.volume_kwh is 'kWh it covers; null: all that is consumed';
comment on column reference.instrument.vintage_from is 'when its energy began to be generated';
comment on column reference.instrument.vintage_to is 'when its energy was generated, end not included';
comment on column reference.instrument.serial_no_to is 'last of several serial numbers; null: serial_no alone';
comment on column reference.instrument.conveys_emission_rate is 'Scope 2 Guidance, quality criterion 1';
comment on column reference.instrument.is_only_claim is 'Scope 2 Guidance, quality criterion 2';
comment on column reference.instrument.is_tracked_and_retired is 'Scope 2 Guidance, quality criterion 3';
comment on column reference.instrument.has_close_vintage is 'Scope 2 Guidance, quality criterion 4';
comment on column reference.instrument.is_of_same_market is 'Scope 2 Guidance, quality criterion 5';
comment on column reference.instrument.is_net_of_sold_certificates is
    'Scope 2 Guidance, quality criterion 6, asked of supplier rates';
comment on column reference.instrument.passes_all_claims is
    'Scope 2 Guidance, quality criterion 7, asked of direct purchases';
comment on column reference.instrument.has_residual_mix_or_discloses is 'Scope 2 Guidance, quality criterion 8';

create table reference.revenue (
    entity_id   text collate "C" not null,
    amount      numeric not null,
    currency    text not null,
    measure     text not null,
    valid_from  date not null,
    valid_to    date not null,
    recorded_at timestamptz not null,
    constraint revenue_pkey primary key (entity_id, measure, valid_from, recorded_at),
    constraint revenue_measure_is_known check (measure in ('net_revenue', 'net_revenue_high_climate_impact')),
    constraint revenue_currency_is_three_letters check (currency ~ '^[A-Z]{3}$'),
    constraint revenue_is_finite check (amount > '-infinity' and amount < 'infinity'),
    constraint revenue_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.revenue is 'revenue of an entity in the period [valid_from, valid_to)';
comment on column reference.revenue.amount is 'in units of the currency, for the whole period';

create table reference.budget (
    entity_id     text collate "C" not null,
    budget_kgco2e numeric not null,
    measure       text not null,
    facility_id   text collate "C",
    valid_from    date not null,
    valid_to      date not null,
    recorded_at   timestamptz not null,
    constraint budget_key unique nulls not distinct (entity_id, facility_id, measure, valid_from, recorded_at),
    constraint budget_measure_is_known check (
        measure in ('total_location', 'total_market', 'scope_1', 'scope_2_location', 'scope_2_market', 'scope_3')
        or measure ~ '^scope_3_category_([1-9]|1[0-5])$'),
    constraint budget_is_not_negative check (budget_kgco2e >= 0 and budget_kgco2e < 'infinity'),
    constraint budget_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.budget is 'what an entity, or one of its sites, may emit in the period [valid_from, valid_to)';
comment on column reference.budget.budget_kgco2e is 'kgCO2e for the whole period';

create table reference.spend_class (
    system      text collate "C" not null,
    code        text collate "C" not null,
    naics_code  text collate "C",
    route       text not null,
    note        text not null,
    valid_from  date not null,
    valid_to    date,
    recorded_at timestamptz not null,
    constraint spend_class_pkey primary key (system, code, valid_from, recorded_at),
    constraint spend_class_route_is_known check (
        route in ('spend', 'energy', 'fuel', 'freight', 'travel', 'waste')),
    constraint spend_class_naics_is_digits check (naics_code ~ '^[0-9]{2,6}$'),
    constraint spend_class_has_a_sector check (route <> 'spend' or naics_code is not null),
    constraint spend_class_does_not_end_before_it_begins check (valid_to >= valid_from)
);
comment on table reference.spend_class is 'what a purchasing or accounting code means: a sector, or another stream';
comment on column reference.spend_class.naics_code is 'NAICS 2017, 2 to 6 digits';

select ledger.make_append_only(t) from unnest(array[
    'reference.application', 'reference.entity', 'reference.ownership', 'reference.meter', 'reference.vehicle',
    'reference.supplier', 'reference.supplier_item', 'reference.instrument', 'reference.revenue', 'reference.budget',
    'reference.spend_class'
]::regclass[]) as t;

grant select on all tables in schema reference to carbon_writer, carbon_reader;
grant insert on all tables in schema reference to carbon_writer;
