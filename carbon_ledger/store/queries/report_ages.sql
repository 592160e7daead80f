-- Since how many seconds the latest report of each organization and fiscal year is there.
select report, organization_id, fiscal_year,
       greatest(0, extract(epoch from clock_timestamp() - max(recorded_at))) as seconds
from reports.snapshot
group by report, organization_id, fiscal_year
order by report, organization_id, fiscal_year
