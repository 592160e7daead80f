select ledger.ensure_month(%(month)s)
