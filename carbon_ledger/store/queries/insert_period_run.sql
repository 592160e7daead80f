insert into ledger.period_run (
    fiscal_year, known_at, lines_posted, reversals, not_posted, delta_kgco2e, code_version
)
values (
    %(fiscal_year)s, %(known_at)s, %(lines_posted)s, %(reversals)s, %(not_posted)s, %(delta_kgco2e)s,
    %(code_version)s
)
