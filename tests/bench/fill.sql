-- A range of entries of a ledger that is not empty, each with its identity.
with made as (
    select n,
           'iot:FILL-' || lpad(mod(n, 2000)::text, 5, '0') || '@' || n as ref,
           timestamptz '2023-01-01 00:00:00Z' + make_interval(mins => (n / 7)::int) as at
    from generate_series(%(first)s::bigint, %(last)s::bigint) as n
), identity as (
    insert into ledger.event_identity (event_id, payload_sha256, entry_month, entry_id)
    select ref || '#0', sha256(convert_to(ref, 'UTF8')), date_trunc('month', at)::date,
           (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '8'
            || substr(md5(ref), 1, 19))::uuid
    from made
)
insert into ledger.entry (
    organization_id, entry_id, event_id, line_no, activity_ref, claim_key, stream, activity_month,
    local_date, occurred_from, occurred_to, recorded_at, scope, basis, facility_id, source_ref,
    country_iso2, activity_type, quantity, unit, kgco2e, gas_split, gwp_set, factor_id,
    factor_version, factor_release, factor_match, vintage_gap_years, flags, formula_id,
    method, rule_id, supersession_rank, primary_share, activity_scores, factor_scores,
    payload_sha256, schema_sha256, content_sha256, code_version)
select 'default',
       (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '8'
        || substr(md5(ref), 1, 19))::uuid,
       ref || '#0', 1, ref, ref || '|scope-2|-|location', 'iot_energy',
       date_trunc('month', at)::date, at::date, at, at + interval '5 minutes', now(), 2, 'location',
       'PLANT-' || mod(n, 200), 'FILL-' || mod(n, 2000), 'DE', 'electricity:grid', 12.5, 'kWh', 4.25,
       'not_available', 'unstated', 'grid:DE:2023:lifecycle:ember_owid_2026', 1, 'fill',
       'country/lifecycle/exact-year', 0, 'boundary_substitute', 'S2-LB',
       'measured', 'S2-PURCHASED-ENERGY', 0, 1, '1,1,1,1,2', '2,1,1,2,2',
       sha256(convert_to(ref, 'UTF8')),
       sha256('schema'), sha256(convert_to(ref || 'c', 'UTF8')), 'fill'
from made
