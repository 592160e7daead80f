-- The entries a cell is the sum of, largest first; and over all of them their number and sum.
select e.*, count(*) over () as lines_of_cell, sum(e.kgco2e) over () as kgco2e_of_cell
from ledger.entries_as_of(%(as_of)s::timestamptz) e
where e.scope = %(scope)s and e.basis = %(basis)s
  and e.organization_id = %(organization_id)s
  and e.activity_month >= %(start)s and e.activity_month < %(end)s
  and (%(country_iso2)s = '' or e.country_iso2 = %(country_iso2)s)
order by abs(e.kgco2e) desc, e.entry_id
limit %(limit)s offset %(offset)s
