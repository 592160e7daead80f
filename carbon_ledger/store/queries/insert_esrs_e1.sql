insert into reports.esrs_e1 (
    snapshot_id, organization_id, fiscal_year, framework_profile, datapoint, concept, country_iso2,
    value, unit, entries, substituted_share, as_of, factor_releases, code_version, run_id
)
values (
    %(snapshot_id)s, %(organization_id)s, %(fiscal_year)s, %(framework_profile)s, %(datapoint)s, %(concept)s,
    %(country_iso2)s, %(value)s, %(unit)s, %(entries)s, %(substituted_share)s, %(as_of)s,
    %(factor_releases)s, %(code_version)s, %(run_id)s
)
