select ledger.begin_writing()
