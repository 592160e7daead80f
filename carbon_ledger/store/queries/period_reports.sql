select ledger.period_reports(%(report_ids)s::uuid[])
