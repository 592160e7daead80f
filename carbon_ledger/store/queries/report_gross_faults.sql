-- Gross figures of a kept ESRS E1 report beside plain sums of the entries as known at its moment. A category that
-- was left out with a reason has no cell.
with snapshot as (
    select s.* from reports.snapshot s where s.snapshot_id = %(snapshot_id)s
),
cells as (
    select c.cell_id, split_part(c.cell_id, '/', 2) as row_id, c.value
    from reports.cell c
    where c.snapshot_id = %(snapshot_id)s and c.cell_id ~ '^E1-[0-9]+/(scope_[12].*|category_[0-9]+)/current$'
      and c.cell_id !~ '_pct/' and c.operation in ('entries', 'empty')
),
excluded as (
    select split_part(c.cell_id, '/', 3) as row_id
    from reports.cell c
    where c.snapshot_id = %(snapshot_id)s and c.text_value = 'excluded'
      and c.cell_id ~ '^E1-[0-9]+/screening/category_[0-9]+/status$'
),
sums as (
    select
        case
            when e.scope = 1 then 'scope_1'
            when e.scope = 2 then 'scope_2_' || e.basis
            else 'category_' || to_char(e.category, 'FM00')
        end as row_id,
        sum(e.kgco2e) * 0.001 as tonnes
    from snapshot s
    join ledger.entry e
        on e.organization_id = s.organization_id and e.recorded_at <= s.as_of
        -- A fiscal year begins in its calendar year or in the one before.
        and e.activity_month >= make_date(s.fiscal_year - 1, 1, 1)
        and e.activity_month < make_date(s.fiscal_year + 1, 1, 1)
    left join reference.first_months(s.as_of) f on f.organization_id = s.organization_id
    where ledger.fiscal_year(e.local_date, f.first_month) = s.fiscal_year
      and (e.scope in (1, 2) or (e.scope = 3 and e.basis <> 'market'))
    group by 1
)
select format('%%s says %%s tCO2e, its entries add up to %%s', coalesce(c.cell_id, row_id),
              coalesce(c.value::text, 'nothing'), coalesce(s.tonnes::text, 'nothing')) as what
from cells c
full join sums s using (row_id)
where coalesce(c.value, 0) <> coalesce(s.tonnes, 0)
  and row_id not in (select e.row_id from excluded e)
order by 1
