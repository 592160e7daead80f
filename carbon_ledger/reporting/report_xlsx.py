"""A report as a workbook (XLSX) whose sums, differences and quotients are formulas.

Belongs here: which sheets there are, what stands where, and each cell's formula. Does not: how a
workbook is written down (carbon_ledger.reporting.workbook), figures.

One sheet per table, `Workings` for the cells that no table shows, and `Cells` with the exact value
of every cell as text beside its id and its place: a spreadsheet keeps 15 digits of a number, and a
figure of the ledger may have more. Sums of entries and what the company states are numbers, and
everything made of cells is a formula over them; a quotient is rounded to 12 decimals, as it is in
the report. No macros, nothing fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from carbon_ledger.flags import sentences_of
from carbon_ledger.quantities import POSTED_SCALE, canonical_text
from carbon_ledger.reporting.reading import ROUNDING_NOTE, decimals_shown, heading, lineage_link
from carbon_ledger.reporting.tables import Cell, Report, Table
from carbon_ledger.reporting.workbook import (
    FORMULA_LENGTH_MAX,
    Formula,
    Link,
    Sheet,
    Value,
    column_name,
    quoted_sheet,
    sheet_titles,
    workbook_bytes,
)

ARGUMENTS_MAX: Final = 255
DIGITS_NOTE: Final = (
    "A spreadsheet keeps 15 digits of a number. The exact value of every cell, with every digit, "
    "is text in the sheet Cells, beside the place where the cell is shown."
)
NO_FORMULA: Final = "its formula would be longer than a spreadsheet takes: the value is written"
REPORT_SHEET: Final = "Report"
WORKINGS_SHEET: Final = "Workings"
CELLS_SHEET: Final = "Cells"
CELL_COLUMNS: Final = (
    *("Cell", "Place", "Exact value", "Unit", "Operation", "Made of", "Scale", "Entries", "Year"),
    *("Measure", "Selection", "Concept", "Datapoint", "Dimensions", "Source", "Note"),
)
FIRST_ROW: Final = 4  # of a table: title, citation and headings are above it


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a cell is: title of the sheet, column and row from 1."""

    sheet: str
    column: int
    row: int

    def named(self, from_sheet: str = "") -> str:
        """Its name in a formula of a sheet."""
        name = f"{column_name(self.column)}{self.row}"
        return name if self.sheet == from_sheet else f"{quoted_sheet(self.sheet)}!{name}"


def report_to_xlsx(report: Report, *, lineage_url: str = "") -> bytes:
    """The workbook; the same report and address of lineage, the same bytes.

    `lineage_url` as in `report_to_html`: each row of `Cells` links to it, if it is a web address (a
    workbook has no address that a path could be of).
    """
    return _Book(report, lineage_url).written()


class _Book:
    def __init__(self, report: Report, lineage_url: str) -> None:
        self.report = report
        self.lineage_url = lineage_url
        self.cells = report.cells()
        wanted = [REPORT_SHEET, WORKINGS_SHEET, CELLS_SHEET]
        wanted += [table.table_id for table in report.tables]
        (self.front, self.workings, self.trail, *titles) = sheet_titles(wanted)
        self.tables = dict(zip(titles, report.tables, strict=True))
        self.places: dict[str, Place] = {}
        self.hidden = self._placed()

    def _placed(self) -> list[Cell]:
        """Gives every cell its place; returns those that no table shows."""
        for title, table in self.tables.items():
            for at, row in enumerate(table.rows, start=FIRST_ROW):
                for column, one in enumerate(table.columns, start=2):
                    cell = row.cells.get(one.column_id)
                    if cell is not None:
                        place = Place(sheet=title, column=column, row=at)
                        self.places.setdefault(cell.cell_id, place)
        hidden = [cell for cell in self.cells.values() if cell.cell_id not in self.places]
        for at, cell in enumerate(hidden, start=FIRST_ROW):
            self.places[cell.cell_id] = Place(sheet=self.workings, column=2, row=at)
        return hidden

    def written(self) -> bytes:
        sheets = [self._front()]
        sheets += [self._table(title, table) for title, table in self.tables.items()]
        if self.hidden:
            sheets.append(self._workings())
        sheets.append(self._trail())
        report = self.report
        return workbook_bytes(
            sheets,
            title=f"{report.title} - {report.organization_id} {report.fiscal_year}",
            moment=report.as_of,
        )

    # ---- sheets

    def _front(self) -> Sheet:
        report = self.report
        sheet = Sheet(title=self.front, widths=(24, 100))
        sheet.put(1, 1, report.title, style="title")
        facts = [
            ("Organization", report.organization_id),
            ("Fiscal year", str(report.fiscal_year)),
            ("First day", report.period_begin.isoformat()),
            ("Last day", (report.period_end - timedelta(days=1)).isoformat()),
            ("As known at", report.as_of.isoformat()),
            ("Profile", report.profile),
            ("Code version", report.code_version),
            ("Remarks", "\n".join(sentences_of(report.flags))),
            ("Exact values", DIGITS_NOTE),
            ("Rounding", ROUNDING_NOTE),
        ]
        facts += [(one.heading, one.text) for one in report.statements]
        for at, (name, text) in enumerate(facts, start=3):
            sheet.put(at, 1, name, style="head")
            sheet.put(at, 2, text, style="wrapped")
        return sheet

    def _table(self, title: str, table: Table) -> Sheet:
        sheet = Sheet(
            title=title,
            widths=(48, *(18 for _ in table.columns)),
            frozen=(FIRST_ROW, 2),
            heading_row=FIRST_ROW - 1,
        )
        sheet.put(1, 1, heading(table.table_id, table.title), style="title")
        sheet.put(2, 1, table.citation, style="note")
        sheet.put(FIRST_ROW - 1, 1, "", style="head")
        for column, one in enumerate(table.columns, start=2):
            name = f"{one.heading} [{one.unit}]" if one.unit else one.heading
            sheet.put(FIRST_ROW - 1, column, name, style="head")
        for at, row in enumerate(table.rows, start=FIRST_ROW):
            style = "total" if row.is_total else ""
            sheet.put(at, 1, row.label, style=style or "wrapped")
            for column, one in enumerate(table.columns, start=2):
                cell = row.cells.get(one.column_id)
                if cell is not None:
                    unit = "" if cell.unit == one.unit else cell.unit
                    here = Place(sheet=title, column=column, row=at)
                    self._put(sheet, here, cell, unit=unit, is_total=row.is_total)
        below = FIRST_ROW + len(table.rows) + 1
        for at, note in enumerate((*table.notes, DIGITS_NOTE), start=below):
            sheet.put(at, 1, note, style="note")
        return sheet

    def _workings(self) -> Sheet:
        headings = ("Cell", "Value", "Unit")
        sheet = Sheet(
            title=self.workings,
            widths=(60, 24, 14),
            frozen=(FIRST_ROW, 2),
            heading_row=FIRST_ROW - 1,
        )
        sheet.put(1, 1, "Cells that no table shows, of which others are made", style="title")
        sheet.put(2, 1, DIGITS_NOTE, style="note")
        for column, name in enumerate(headings, start=1):
            sheet.put(FIRST_ROW - 1, column, name, style="head")
        for at, cell in enumerate(self.hidden, start=FIRST_ROW):
            sheet.put(at, 1, cell.cell_id)
            self._put(sheet, self.places[cell.cell_id], cell)
            sheet.put(at, 3, cell.unit)
        return sheet

    def _trail(self) -> Sheet:
        sheet = Sheet(
            title=self.trail,
            widths=(48, 24, 34, 12, 12, 48, 10, 10, 8, 14, 40, 48, 12, 40, 32, 32),
            frozen=(2, 2),
            heading_row=1,
        )
        for column, name in enumerate(CELL_COLUMNS, start=1):
            sheet.put(1, column, name, style="head")
        for at, cell in enumerate(self.cells.values(), start=2):
            for column, text in enumerate(self._told(cell), start=1):
                if column == 1 and self.lineage_url.startswith(("https://", "http://")):
                    target = lineage_link(self.lineage_url, cell.cell_id)
                    sheet.put(at, column, Link(text=text, target=target), style="link")
                else:
                    sheet.put(at, column, text)
        return sheet

    def _told(self, cell: Cell) -> Iterator[str]:
        """A row of `Cells`, all of it text."""
        asked = {} if cell.selection is None else cell.selection.as_text()
        value = cell.value
        note = cell.note
        if _is_made(cell) and self._formula(cell, self.places[cell.cell_id].sheet) is None:
            note = "; ".join(part for part in (note, NO_FORMULA) if part)
        yield cell.cell_id
        yield self.places[cell.cell_id].named()
        yield canonical_text(value) if isinstance(value, Decimal) else (value or "")
        yield cell.unit
        yield cell.operation
        yield " ".join(cell.inputs)
        yield "" if cell.scale == 1 else canonical_text(cell.scale)
        yield str(cell.entries) if cell.entries else ""
        yield "" if cell.year is None else str(cell.year)
        yield cell.measure if cell.operation == "entries" else ""
        yield "; ".join(f"{name}={','.join(values)}" for name, values in asked.items())
        yield cell.concept
        yield cell.datapoint
        yield "; ".join(f"{one.axis}={one.member}" for one in cell.dimensions)
        yield cell.source
        yield note

    # ---- one cell

    def _put(
        self, sheet: Sheet, here: Place, cell: Cell, *, unit: str = "", is_total: bool = False
    ) -> None:
        value: Value
        if cell.value is None:
            sheet.put(here.row, here.column, "–", style="none")  # noqa: RUF001
            return
        if isinstance(cell.value, str):
            sheet.put(here.row, here.column, cell.value, style="wrapped")
            return
        home = self.places[cell.cell_id]
        value = cell.value
        if home != here:
            value = Formula(text=home.named(sheet.title), value=cell.value)
        elif _is_made(cell):
            made = self._formula(cell, sheet.title)
            value = cell.value if made is None else Formula(text=made, value=cell.value)
        decimals = decimals_shown(cell.value, cell.unit)
        sheet.put_figure(
            here.row, here.column, value, decimals=decimals, unit=unit, is_bold=is_total
        )

    def _formula(self, cell: Cell, sheet: str) -> str | None:
        """The formula of a cell in a sheet; None if it would be too long for a spreadsheet."""
        names = [self.places[one] for one in cell.inputs]
        scale = "" if cell.scale == 1 else f"*{canonical_text(cell.scale)}"
        if cell.operation == "sum":
            text = f"{_summed(_ranges(names, sheet))}{scale}"
        else:
            above, below = (one.named(sheet) for one in names)
            sign = "-" if cell.operation == "difference" else "/"
            text = f"{above}{sign}{below}"
            if sign == "/":
                text = f"ROUND({above}{scale}/{below},{POSTED_SCALE})"
            text = f"({text}){scale}" if sign == "-" and scale else text
        return text if len(text) <= FORMULA_LENGTH_MAX else None


def _is_made(cell: Cell) -> bool:
    return bool(cell.inputs) and cell.operation in ("sum", "difference", "quotient")


def _ranges(places: Iterable[Place], sheet: str) -> list[str]:
    """Names of places, those that follow each other in a column as one range."""
    runs: list[list[Place]] = []
    for one in places:
        last = runs[-1][-1] if runs else None
        if last is not None and one == Place(
            sheet=last.sheet, column=last.column, row=last.row + 1
        ):
            runs[-1].append(one)
        else:
            runs.append([one])
    return [
        run[0].named(sheet)
        if len(run) == 1
        else f"{run[0].named(sheet)}:{run[-1].named(run[0].sheet)}"
        for run in runs
    ]


def _summed(names: list[str]) -> str:
    """SUM of any number of names: a function takes 255 arguments."""
    while len(names) > ARGUMENTS_MAX:
        parts = [names[at : at + ARGUMENTS_MAX] for at in range(0, len(names), ARGUMENTS_MAX)]
        names = [f"SUM({','.join(part)})" for part in parts]
    return f"SUM({','.join(names)})"
