insert into reports.snapshot (
    snapshot_id, report, organization_id, fiscal_year, profile, as_of, code_version, run_id, content, content_sha256,
    kept_because
)
values (
    %(snapshot_id)s, %(report)s, %(organization_id)s, %(fiscal_year)s, %(profile)s, %(as_of)s, %(code_version)s,
    %(run_id)s, %(content)s, %(content_sha256)s, %(kept_because)s
)
