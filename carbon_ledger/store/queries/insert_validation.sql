insert into audit.validation (
    validation_id, suite, suite_version, suite_sha256, target, unit, as_of, is_success, worst_severity, expectations,
    rows_validated, failures, statistics, engine, code_version, run_id
)
values (
    %(validation_id)s, %(suite)s, %(suite_version)s, %(suite_sha256)s, %(target)s, %(unit)s, %(as_of)s,
    %(is_success)s, %(worst_severity)s, %(expectations)s, %(rows_validated)s, %(failures)s, %(statistics)s,
    %(engine)s, %(code_version)s, %(run_id)s
)
