-- Every cell that is kept of a report.
select c.snapshot_id, c.organization_id, c.cell_id, c.table_id, c.value, c.text_value, c.unit, c.operation, c.concept,
       c.datapoint, c.year, c.selection, c.inputs, c.entries
from reports.cell c
where c.snapshot_id = %(snapshot_id)s
order by c.cell_id
