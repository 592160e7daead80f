-- Fiscal years with entries, by organization.
select distinct e.organization_id, ledger.fiscal_year(e.activity_month, f.first_month) as fiscal_year
from (
    select distinct e.organization_id, e.activity_month
    from ledger.entry e
    where %(organization)s::text is null or e.organization_id = %(organization)s::text
) e
left join reference.first_months('infinity') f using (organization_id)
order by 1, 2
