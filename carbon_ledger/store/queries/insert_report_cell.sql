insert into reports.cell (
    snapshot_id, organization_id, cell_id, table_id, value, text_value, unit, operation, concept, datapoint, year,
    selection, inputs, entries
)
values (
    %(snapshot_id)s, %(organization_id)s, %(cell_id)s, %(table_id)s, %(value)s, %(text_value)s, %(unit)s,
    %(operation)s, %(concept)s, %(datapoint)s, %(year)s, %(selection)s, %(inputs)s, %(entries)s
)
