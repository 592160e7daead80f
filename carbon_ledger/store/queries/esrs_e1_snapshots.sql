-- Snapshots of a year as of a moment that have rows of an organization, the one recorded last first.
select r.snapshot_id
from reports.esrs_e1 r
where r.organization_id = %(organization)s and r.fiscal_year = %(fiscal_year)s and r.as_of = %(as_of)s
group by r.snapshot_id
order by max(r.recorded_at) desc, r.snapshot_id
