"""What is behind a cell of a report and what it is in, by the report alone.

Belongs here: walking from cell to cell, and to the selections of entries at the ends. Does not:
the entries (carbon_ledger.store.report_trail).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from carbon_ledger.reporting.cube import Selection
from carbon_ledger.reporting.tables import Cell, Column, Report, Row, Table

# What a whole report is about: entries of a total. Scope 0 is in none.
OF_A_TOTAL: Final = Selection(scopes=(1, 2, 3))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Where a table shows a cell."""

    table: Table
    row: Row
    column: Column


def selections_behind(cells: Mapping[str, Cell], cell_id: str) -> list[tuple[int, Selection]]:
    """The years and selections whose entries a cell is made of, itself or by way of others, each
    once, in the order in which they are met.
    """
    found: dict[tuple[int, Selection], None] = {}
    waiting, seen = [cell_id], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in cells:
            continue
        seen.add(name)
        cell = cells[name]
        if cell.operation == "entries" and cell.selection is not None and cell.year is not None:
            found[cell.year, cell.selection] = None
        waiting += cell.inputs
    return list(found)


def made_of(cells: Mapping[str, Cell], cell_id: str) -> list[Cell]:
    """The cells that another is made of directly, in order."""
    return [cells[one] for one in cells[cell_id].inputs if one in cells]


def part_of(cells: Mapping[str, Cell], cell_id: str) -> list[Cell]:
    """The cells that are made of another directly."""
    return [one for one in cells.values() if cell_id in one.inputs]


def shown_in(report: Report, cell_id: str) -> Shown | None:
    """The first place where a table shows a cell; None for one that no table shows."""
    for table in report.tables:
        for row in table.rows:
            for column in table.columns:
                cell = row.cells.get(column.column_id)
                if cell is not None and cell.cell_id == cell_id:
                    return Shown(table=table, row=row, column=column)
    return None
