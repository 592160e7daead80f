-- The kept reports that an entry is in, the newest first, after a place, and in each every cell that takes the entry:
-- directly, by its selection (carbon_ledger/reporting/cube.py), or by way of other cells.
with recursive page as (
    -- Looked through from the newest on, and no further than the page is long.
    select s.snapshot_id, d.cell_ids
    from (
        select s.snapshot_id, s.recorded_at, (
                   -- The entry's fiscal year as it was known at the report's moment.
                   select y.name
                   from unnest(%(year_moments)s::timestamptz[], %(year_names)s::integer[]) as y (since, name)
                   where y.since <= s.as_of
                   order by y.since desc
                   limit 1
               ) as year
        from reports.snapshot s
        where s.organization_id = %(organization)s
          and s.as_of >= %(known_from)s::timestamptz
          and (%(known_until)s::timestamptz is null or s.as_of < %(known_until)s::timestamptz)
          and s.fiscal_year >= %(first_year)s
          and (%(before_at)s::timestamptz is null
               or (s.recorded_at, s.snapshot_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
        order by s.recorded_at desc, s.snapshot_id desc
    ) s
    cross join lateral (
        select array_agg(c.cell_id) as cell_ids
        from reports.cell c
        where c.snapshot_id = s.snapshot_id
          and c.operation = 'entries' and c.year = s.year
          and coalesce(c.selection -> 'scopes' ? %(scope)s, true)
          and coalesce(c.selection -> 'categories' ? %(category)s, true)
          and coalesce(c.selection -> 'bases' ? %(basis)s, true)
          and not coalesce(c.selection -> 'without_bases' ? %(basis)s, false)
          and coalesce(c.selection -> 'streams' ? %(stream)s, true)
          and coalesce(c.selection -> 'facilities' ? %(facility_id)s, true)
          and coalesce(c.selection -> 'countries' ? %(country_iso2)s, true)
          and coalesce(c.selection -> 'activity_types' ? %(activity_type)s, true)
          and (c.selection -> 'activity_prefixes' is null
               or exists (select from jsonb_array_elements_text(c.selection -> 'activity_prefixes') p
                          where starts_with(%(activity_type)s, p)))
          and coalesce(c.selection -> 'methods' ? %(method)s, true)
          and coalesce(c.selection -> 'units' ? %(unit)s, true)
          and coalesce(c.selection -> 'factor_ids' ? %(factor_id)s, true)
          and coalesce(c.selection -> 'factor_versions' ? %(factor_version)s, true)
          and coalesce(c.selection -> 'formula_ids' ? %(formula_id)s, true)
          and coalesce(c.selection -> 'gas_splits' ? %(gas_split)s, true)
          and coalesce(c.selection -> 'gwp_sets' ? %(gwp_set)s, true)
          and (c.selection -> 'other_gases' is null
               or exists (select from jsonb_array_elements_text(c.selection -> 'other_gases') g
                          where g = any (%(other_gases)s::text[])))
    ) d
    where d.cell_ids is not null
    order by s.recorded_at desc, s.snapshot_id desc
    limit %(limit)s
),
reached as (
    select p.snapshot_id, d.cell_id from page p cross join lateral unnest(p.cell_ids) d (cell_id)
    union
    select c.snapshot_id, c.cell_id
    from reached r
    join reports.cell c on c.snapshot_id = r.snapshot_id and r.cell_id = any (c.inputs)
)
select s.snapshot_id, s.report, s.organization_id, s.fiscal_year, s.profile, s.as_of, s.code_version, s.run_id,
       s.content_sha256, s.recorded_at, c.cell_id, c.table_id, c.value, c.text_value, c.unit, c.operation, c.year
from reached r
join reports.cell c on c.snapshot_id = r.snapshot_id and c.cell_id = r.cell_id
join reports.snapshot s on s.snapshot_id = r.snapshot_id
order by s.recorded_at desc, s.snapshot_id desc, (c.table_id = ''), c.table_id collate "C", c.cell_id
