insert into reports.scheduled (
    organization_id, schedule, period, report, fiscal_year, due_at, snapshot_id, run_id, code_version
)
values (
    %(organization_id)s, %(schedule)s, %(period)s, %(report)s, %(fiscal_year)s, %(due_at)s, %(snapshot_id)s,
    %(run_id)s, %(code_version)s
)
on conflict (organization_id, schedule, period, report) do nothing
