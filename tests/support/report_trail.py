"""From a cell of a report down to the entries it rests on, and up again in fractions.

Belongs here: following a report's own trail (inputs, selections) and adding everything up again.
Does not: what a cell should be (scripts.demo_report_truth), how it is made
(carbon_ledger.reporting).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from carbon_ledger.reporting.cube import Selection
from carbon_ledger.reporting.tables import Cell, Report
from carbon_ledger.store.report_inputs import entries_behind
from tests.support.oracle import half_even
from tests.support.postgres import Connection

ZERO: Final = Fraction(0)
# Of an entry: the column of each measure that is not worked out of several.
COLUMNS: Final[Mapping[str, str]] = {
    name: name
    for name in (
        *("kgco2e", "quantity", "kg_co2_fossil", "kg_co2_biogenic"),
        *("kg_ch4", "kg_n2o"),
    )
}


@dataclass(kw_only=True)
class Trail:
    """The cells of a report, each followed once; `entries` are those of the ledger, by id, and
    without `conn` only those that stood at the report's moment.

    `behind`: which of them a selection takes, asked once; for reports of one moment it can be one.
    """

    conn: Connection | None
    report: Report
    entries: Mapping[UUID, Mapping[str, Any]]
    behind: dict[tuple[int, Selection], list[UUID]] = field(default_factory=dict)
    figures: dict[str, Fraction] = field(default_factory=dict)
    rests_on: dict[str, frozenset[UUID]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def followed(self) -> list[str]:
        """Cells whose figure is not what their trail comes to, or that lead to nothing."""
        self.cells = self.report.cells()
        for cell_id, cell in self.cells.items():
            if not isinstance(cell.value, Decimal):
                continue
            figure = self.figure(cell_id)
            if figure != Fraction(cell.value):
                self.faults.append(f"{cell_id} is {cell.value}, its trail comes to {figure}")
        return self.faults

    def figure(self, cell_id: str) -> Fraction:
        """What a cell comes to, from its entries and statements alone."""
        if cell_id not in self.figures:
            cell = self.cells[cell_id]
            if cell.operation == "entries":
                self.figures[cell_id] = self._of_entries(cell)
            elif cell.operation == "stated":
                assert isinstance(cell.value, Decimal)
                if not cell.source:
                    self.faults.append(f"{cell_id} is stated by nobody")
                self.figures[cell_id], self.rests_on[cell_id] = Fraction(cell.value), frozenset()
            else:
                self.figures[cell_id] = self._of_cells(cell)
        return self.figures[cell_id]

    def _of_entries(self, cell: Cell) -> Fraction:
        assert cell.selection is not None
        assert cell.year is not None
        key = (cell.year, cell.selection)
        if key not in self.behind:
            self.behind[key] = self._taken(cell.year, cell.selection)
        found = [self.entries[one] for one in self.behind[key]]
        self.rests_on[cell.cell_id] = frozenset(one["entry_id"] for one in found)
        if len(found) != cell.entries:
            self.faults.append(
                f"{cell.cell_id} says {cell.entries} entries, there are {len(found)}"
            )
        total = sum((measured(one, cell) for one in found), ZERO)
        return total * Fraction(cell.scale)

    def _taken(self, year: int, selection: Selection) -> list[UUID]:
        """Asked of the ledger as `carbon report cell` does; looked up without a connection."""
        of, as_of = self.report.organization_id, self.report.as_of
        if self.conn is not None:
            taken = entries_behind(self.conn, of, year, selection, as_of)
            return [one.entry_id for one in taken]
        return [
            entry_id
            for entry_id, entry in self.entries.items()
            if entry["local_date"].year == year
            and entry["organization_id"] == of
            and selection.covers(SimpleNamespace(**{**entry, "other_gases": ()}))  # type: ignore[arg-type]
        ]

    def _of_cells(self, cell: Cell) -> Fraction:
        parts = [self.figure(one) for one in cell.inputs]
        below = [self.rests_on[one] for one in cell.inputs]
        self.rests_on[cell.cell_id] = frozenset().union(*below)
        if not parts:
            self.faults.append(f"{cell.cell_id} is {cell.operation} of nothing")
            return ZERO
        if cell.operation == "sum":
            return sum(parts, ZERO) * Fraction(cell.scale)
        if cell.operation == "difference":
            return parts[0] - parts[1]
        assert cell.operation == "quotient", cell
        return half_even(parts[0] * Fraction(cell.scale) / parts[1])


def measured(entry: Mapping[str, Any], cell: Cell) -> Fraction:
    """What an entry counts in a cell."""
    if cell.measure in COLUMNS:
        return Fraction(entry[COLUMNS[cell.measure]] or 0)
    if cell.measure == "primary_kgco2e":
        return Fraction(entry["kgco2e"]) * Fraction(entry["primary_share"] or 0)
    if cell.measure == "substituted_kgco2e":
        is_one = "boundary_substitute" in (entry["flags"] or "").split(",")
        return Fraction(entry["kgco2e"]) if is_one else ZERO
    assert cell.measure == "other_gases"
    assert cell.selection is not None
    given = entry["other_gases"] or {}
    return sum((Fraction(given.get(one, "0")) for one in cell.selection.other_gases), ZERO)


def standing_at(
    entries: Mapping[UUID, Mapping[str, Any]], moment: datetime
) -> dict[UUID, Mapping[str, Any]]:
    """The entries that stood at a moment."""
    known = {one: entry for one, entry in entries.items() if entry["recorded_at"] <= moment}
    reversed_ones = {entry["reverses_id"] for entry in known.values()}
    return {
        one: {**entry, "method": entry["method"] or ""}
        for one, entry in known.items()
        if entry["reverses_id"] is None and one not in reversed_ones
    }


def entries_of(conn: Connection) -> dict[UUID, dict[str, Any]]:
    """Every entry of the ledger by its id."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("select * from ledger.entry").fetchall()
    return {row["entry_id"]: row for row in rows}
