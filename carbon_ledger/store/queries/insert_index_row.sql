insert into factors.index_row (
    index_id, version, series, key, year, value, unit, publisher, source_id, quality_flags, licence, formula,
    note, sha256
)
values (
    %(index_id)s, %(version)s, %(series)s, %(key)s, %(year)s, %(value)s, %(unit)s, %(publisher)s,
    %(source_id)s, %(quality_flags)s, %(licence)s, %(formula)s, %(note)s, %(sha256)s
)
on conflict (index_id, version) do nothing
