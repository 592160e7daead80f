"""A report as CSV: one row per cell, with what it was made of.

Belongs here: the rows. Does not: the whole report for machines (report_json), facts (report_xbrl).

A text that a spreadsheet would take for a formula has an apostrophe before it; figures are decimal
text with every digit they have, and have none. Where lists are in one field, a space parts cell ids
(those of `inputs`), and "; " the others.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Final

from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.reading import marked_as_text, printable
from carbon_ledger.reporting.tables import Cell, Report

COLUMNS: Final = (
    *("cell_id", "table", "row", "column", "value", "unit", "concept", "datapoint", "dimensions"),
    *("operation", "inputs", "entries", "source", "note", "year", "measure", "scale", "selection"),
)


def report_to_csv(report: Report) -> str:
    """One row per place of a cell in a table, in their order, then the cells that no table shows.

    Lines end with CR LF (RFC 4180); the text is to be written as UTF-8.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    shown = set()
    for table in report.tables:
        for row in table.rows:
            for column in table.columns:
                cell = row.cells.get(column.column_id)
                if cell is None:
                    continue
                shown.add(cell.cell_id)
                place = {"table": table.table_id, "row": row.label, "column": column.heading}
                writer.writerow(_row(cell, place))
    for cell in report.cells().values():
        if cell.cell_id not in shown:
            writer.writerow(_row(cell, {}))
    return out.getvalue()


def _row(cell: Cell, place: dict[str, str]) -> dict[str, str]:
    is_figure = isinstance(cell.value, Decimal)
    is_of_entries = cell.operation == "entries"
    asked = {} if cell.selection is None else cell.selection.as_text()
    texts = {
        **place,
        "cell_id": cell.cell_id,
        "unit": cell.unit,
        "concept": cell.concept,
        "datapoint": cell.datapoint,
        "dimensions": "; ".join(f"{one.axis}={one.member}" for one in cell.dimensions),
        "operation": cell.operation,
        "inputs": " ".join(cell.inputs),
        "source": cell.source,
        "note": cell.note,
        "measure": cell.measure if is_of_entries else "",
        "selection": "; ".join(f"{name}={','.join(values)}" for name, values in asked.items()),
    }
    if not is_figure:
        texts["value"] = "" if cell.value is None else str(cell.value)
    safe = {name: marked_as_text(printable(text)) for name, text in texts.items()}
    if isinstance(cell.value, Decimal):
        safe["value"] = canonical_text(cell.value)
        safe["scale"] = "" if cell.scale == 1 else canonical_text(cell.scale)
    safe["entries"] = str(cell.entries) if cell.entries else ""
    safe["year"] = "" if cell.year is None else str(cell.year)
    return safe
