select ledger.period_content(%(organization)s, %(first_date)s, %(end_date)s, %(as_of)s)
