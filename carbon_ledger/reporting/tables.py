"""A report as tables of cells, each of which says what it was made of.

Belongs here: cells, rows, tables, and the few ways a cell comes about. Does not: which cells a
standard asks for (esrs_e1_5, esrs_e1_6, esrs_e1_7, cdp), how a report is shown
(carbon_ledger.reporting.documents).

A figure is never rounded here, but for quotients, which have 12 decimals (half-even).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.quantities import PRODUCT, ROUNDING, quantize_posted
from carbon_ledger.reporting.cube import (
    CubeRow,
    Measure,
    Selection,
    entries_of,
    selected,
    total_of,
)

TONNES: Final = "tCO2e"
MEGAWATT_HOURS: Final = "MWh"
PERCENT: Final = "%"
PER_KILOGRAM: Final = Decimal("0.001")
# Lists of a selection that tell most rows apart, and the fields of rows they are about.
NARROWING: Final = (
    ("facilities", "facility_id"),
    ("factor_ids", "factor_id"),
    ("activity_types", "activity_type"),
    ("countries", "country_iso2"),
    ("categories", "category"),
    ("scopes", "scope"),
)
Operation = Literal["entries", "sum", "difference", "quotient", "stated", "text", "empty"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """A member of an axis of the taxonomy; a typed axis has free text as its member."""

    axis: str
    member: str
    is_typed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One figure or text of a report, and how it came about.

    `operation`: `entries` (sum of the entries that `selection` takes, times `scale`, of `year`),
    `sum`, `difference` and `quotient` (of the cells `inputs`, in order, times `scale`), `stated`
    (told by the company: `source` says by what), `text`, `empty` (with `note` why). `value` is a
    Decimal for figures, text for text, None for empty. `year` is the fiscal year of the entries, or
    of a figure that is of another year than what it was made of.
    """

    cell_id: str
    value: Decimal | str | None
    unit: str = ""
    operation: Operation
    selection: Selection | None = None
    measure: Measure = "kgco2e"
    year: int | None = None
    inputs: tuple[str, ...] = ()
    scale: Decimal = Decimal(1)
    entries: int = 0
    concept: str = ""
    datapoint: str = ""
    dimensions: tuple[Dimension, ...] = ()
    source: str = ""
    note: str = ""

    @property
    def number(self) -> Decimal:
        """The value of a figure; BrokenInvariant `cell_is_no_figure` for anything else."""
        if not isinstance(self.value, Decimal):
            raise BrokenInvariant("cell_is_no_figure", f"{self.cell_id} is {self.value!r}")
        return self.value


def years_of(cell: Cell, cells: Mapping[str, Cell]) -> set[int]:
    """The years a figure is of: its own, otherwise those of what it was made of."""
    if cell.year is not None:
        return {cell.year}
    return {year for one in cell.inputs for year in years_of(cells[one], cells)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column: its id, heading and, where all its cells share one, the unit."""

    column_id: str
    heading: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row: its id, label, and cells by column; a column without a cell is blank."""

    row_id: str
    label: str
    cells: Mapping[str, Cell]
    is_total: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of a report: a disclosure or a question."""

    table_id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    citation: str = ""

    def cells(self) -> Iterator[Cell]:
        """Every cell, row by row."""
        for row in self.rows:
            yield from row.cells.values()

    def cell(self, row_id: str, column_id: str) -> Cell:
        """One cell; KeyError if there is none."""
        for row in self.rows:
            if row.row_id == row_id:
                return row.cells[column_id]
        raise KeyError(row_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Tables made together, and every cell that was made for them: those of the tables, and those
    that others were made of and that no table shows. `flags` are the report's.
    """

    tables: tuple[Table, ...]
    cells: Mapping[str, Cell]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """Something a report says in words: boundary, methods, factors, potentials, substitutions,
    assumptions, exclusions, quality, uncertainty, restatements.
    """

    heading: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Tables of one organization and fiscal year, from entries as known at `as_of`.

    The same ledger, `as_of`, profile and code always give the same report, byte for byte: nothing
    of the moment or place of making it is in it.
    """

    name: str
    profile: str
    title: str
    organization_id: str
    fiscal_year: int
    period_begin: date
    period_end: date
    as_of: datetime
    code_version: str
    sections: tuple[Section, ...]
    statements: tuple[Statement, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of all sections, in order."""
        return tuple(table for section in self.sections for table in section.tables)

    def table(self, table_id: str) -> Table:
        """One table; KeyError if there is none."""
        for table in self.tables:
            if table.table_id == table_id:
                return table
        raise KeyError(table_id)

    def cells(self) -> dict[str, Cell]:
        """Every cell by its id; BrokenInvariant `cell_twice` if two have one id."""
        found: dict[str, Cell] = {}
        for section in self.sections:
            for cell_id, cell in section.cells.items():
                if cell_id in found:
                    raise BrokenInvariant("cell_twice", f"two cells are called {cell_id}")
                found[cell_id] = cell
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """What the taxonomy calls a figure."""

    concept: str = ""
    datapoint: str = ""
    dimensions: tuple[Dimension, ...] = ()


UNTAGGED: Final = Tag()


@dataclass(kw_only=True)
class Maker:
    """Makes cells of one table from rows of one or several years, and knows those it made."""

    cubes: Mapping[int, Sequence[CubeRow]]
    made: dict[str, Cell] = field(default_factory=dict)
    _places: dict[tuple[int, str], dict[object, list[CubeRow]]] = field(default_factory=dict)

    def rows_of(self, year: int, selection: Selection) -> list[CubeRow]:
        """The rows of a year that a selection covers; looked for only where the first list that
        tells most rows apart has them, so that a table of every site reads each row once.
        """
        for asked, name in NARROWING:
            wanted = getattr(selection, asked)
            if wanted:
                place = self._place(year, name)
                return selected(
                    (row for one in dict.fromkeys(wanted) for row in place.get(one, ())), selection
                )
        return selected(self.cubes.get(year, ()), selection)

    def _place(self, year: int, name: str) -> dict[object, list[CubeRow]]:
        """The rows of a year by one of the fields they are told apart by."""
        if (year, name) not in self._places:
            place: dict[object, list[CubeRow]] = {}
            for row in self.cubes.get(year, ()):
                place.setdefault(getattr(row, name), []).append(row)
            self._places[(year, name)] = place
        return self._places[(year, name)]

    def keep(self, cell: Cell) -> Cell:
        """The cell, known from now on by its id."""
        if cell.cell_id in self.made:
            raise BrokenInvariant("cell_twice", f"two cells are called {cell.cell_id}")
        self.made[cell.cell_id] = cell
        return cell

    def of_entries(
        self,
        cell_id: str,
        year: int,
        selection: Selection,
        *,
        tag: Tag = UNTAGGED,
        measure: Measure = "kgco2e",
        unit: str = TONNES,
        scale: Decimal = PER_KILOGRAM,
        note: str = "",
        is_part: bool = False,
    ) -> Cell:
        """The sum of a year's entries; empty where there are none: nothing measured is not zero.

        `is_part`: of a whole that has entries, so that none in the part is zero.
        """
        rows = self.rows_of(year, selection)
        if not rows and not is_part:
            return self.empty(cell_id, "no entries", unit=unit, selection=selection, year=year)
        return self.keep(
            Cell(
                cell_id=cell_id,
                value=PRODUCT.multiply(total_of(rows, measure, selection.other_gases), scale),
                unit=unit,
                operation="entries",
                selection=selection,
                measure=measure,
                year=year,
                scale=scale,
                entries=entries_of(rows),
                concept=tag.concept,
                datapoint=tag.datapoint,
                dimensions=tag.dimensions,
                note=note,
            )
        )

    def sum(
        self, cell_id: str, inputs: Iterable[Cell], *, tag: Tag = UNTAGGED, unit: str = TONNES
    ) -> Cell:
        """The sum of the cells that are figures; empty if none is."""
        figures = [one for one in inputs if isinstance(one.value, Decimal)]
        if not figures:
            return self.empty(cell_id, "none of its parts has a figure", unit=unit)
        total = Decimal(0)
        for one in figures:
            total = PRODUCT.add(total, one.number)
        return self.keep(
            Cell(
                cell_id=cell_id,
                value=total,
                unit=unit,
                operation="sum",
                inputs=tuple(one.cell_id for one in figures),
                entries=sum(one.entries for one in figures),
                concept=tag.concept,
                datapoint=tag.datapoint,
                dimensions=tag.dimensions,
            )
        )

    def quotient(
        self,
        cell_id: str,
        above: Cell,
        below: Cell,
        *,
        unit: str,
        scale: Decimal = Decimal(1),
        tag: Tag = UNTAGGED,
    ) -> Cell:
        """`above` / `below` x `scale`, 12 decimals; empty without figures, or if `below` is 0."""
        if not isinstance(above.value, Decimal) or not isinstance(below.value, Decimal):
            return self.empty(cell_id, "one of its parts has no figure", unit=unit)
        if not below.value:
            return self.empty(cell_id, f"{below.cell_id} is zero", unit=unit)
        exact = ROUNDING.divide(PRODUCT.multiply(above.value, scale), below.value)
        return self.keep(
            Cell(
                cell_id=cell_id,
                value=quantize_posted(exact),
                unit=unit,
                operation="quotient",
                inputs=(above.cell_id, below.cell_id),
                scale=scale,
                concept=tag.concept,
                datapoint=tag.datapoint,
                dimensions=tag.dimensions,
            )
        )

    def difference(
        self, cell_id: str, left: Cell, right: Cell, *, unit: str = TONNES, tag: Tag = UNTAGGED
    ) -> Cell:
        """`left` - `right`; empty unless both are figures."""
        if not isinstance(left.value, Decimal) or not isinstance(right.value, Decimal):
            return self.empty(cell_id, "one of its parts has no figure", unit=unit)
        return self.keep(
            Cell(
                cell_id=cell_id,
                value=PRODUCT.subtract(left.value, right.value),
                unit=unit,
                operation="difference",
                inputs=(left.cell_id, right.cell_id),
                concept=tag.concept,
                datapoint=tag.datapoint,
                dimensions=tag.dimensions,
            )
        )

    def stated(
        self,
        cell_id: str,
        value: Decimal | str,
        *,
        source: str,
        unit: str = "",
        tag: Tag = UNTAGGED,
        note: str = "",
        year: int | None = None,
    ) -> Cell:
        """What the company states, and by what; `year` if it is not of the report's."""
        return self.keep(
            Cell(
                cell_id=cell_id,
                value=value,
                unit=unit,
                operation="stated",
                year=year,
                source=source,
                concept=tag.concept,
                datapoint=tag.datapoint,
                dimensions=tag.dimensions,
                note=note,
            )
        )

    def text(self, cell_id: str, value: str, *, tag: Tag = UNTAGGED) -> Cell:
        """Words that follow from the ledger or the profile."""
        return self.keep(
            Cell(
                cell_id=cell_id,
                value=value,
                operation="text",
                concept=tag.concept,
                datapoint=tag.datapoint,
                dimensions=tag.dimensions,
            )
        )

    def empty(
        self,
        cell_id: str,
        why: str,
        *,
        unit: str = "",
        selection: Selection | None = None,
        year: int | None = None,
    ) -> Cell:
        """A cell without a figure, and why."""
        return self.keep(
            Cell(
                cell_id=cell_id,
                value=None,
                unit=unit,
                operation="empty",
                note=why,
                selection=selection,
                year=year,
            )
        )
