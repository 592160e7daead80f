select ledger.knowledge_horizon()
