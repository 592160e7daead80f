-- Rows of snapshots that are of one organization.
select r.snapshot_id, r.organization_id, r.fiscal_year, r.framework_profile, r.datapoint, r.concept, r.country_iso2,
       r.value, r.unit, r.entries, r.substituted_share, r.as_of, r.factor_releases, r.code_version, r.run_id
from reports.esrs_e1 r
where r.snapshot_id = any(%(snapshot_ids)s::uuid[]) and r.organization_id = %(organization)s
