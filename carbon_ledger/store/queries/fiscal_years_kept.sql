-- Reports that are kept of organizations: how many, and of which fiscal years.
select s.organization_id, count(*) as reports, array_agg(distinct s.fiscal_year order by s.fiscal_year) as years
from reports.snapshot s
where s.organization_id = any(%(organizations)s::text[])
group by s.organization_id
order by s.organization_id
