-- One writer per claim, until the transaction ends.
select pg_advisory_xact_lock(hashtextextended('claim ' || %(claim)s, 0))
