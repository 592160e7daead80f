-- Calendar years with entries, by organization.
select distinct e.organization_id, extract(year from e.activity_month)::integer as fiscal_year
from ledger.entry e
where %(organization)s::text is null or e.organization_id = %(organization)s::text
order by 1, 2
