insert into ledger.restatement (
    restatement_id, from_releases, to_release, gwp_set, reference_as_of, max_vintage_gap_years, recompute, first_date,
    end_date, base_year, code_version, known_at, entries, delta_kgco2e, digest, summary, previewed_by, reason
)
values (
    %(restatement_id)s, %(from_releases)s, %(release_id)s, %(gwp_set)s, %(reference_as_of)s,
    %(max_vintage_gap_years)s, %(recompute)s, %(first_date)s, %(end_date)s, %(base_year)s, %(code_version)s,
    %(known_at)s, %(entries)s, %(delta_kgco2e)s, %(digest)s, %(summary)s, %(previewed_by)s, %(reason)s
)
