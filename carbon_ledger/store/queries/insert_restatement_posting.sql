insert into ledger.restatement_posting (restatement_id, activity_month, recorded_at, entries, delta_kgco2e, digest, posted_by)
values (%(restatement_id)s, %(month)s, %(recorded_at)s, %(entries)s, %(delta_kgco2e)s, %(digest)s, %(posted_by)s)
