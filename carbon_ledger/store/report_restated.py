"""What was reported before of the years that a report shows, and why a figure of it is another now.

Belongs here: figures of the whole reports that reported periods bind, and the lines recorded since
that a figure takes. Does not: which figures are compared (carbon_ledger.reporting.restatements),
closing (carbon_ledger.store.periods).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.reporting.cube import CubeRow
from carbon_ledger.reporting.inputs import Reported
from carbon_ledger.reporting.tables import Cell, Report, years_of
from carbon_ledger.store.connect import query
from carbon_ledger.store.report_snapshots import read_snapshot
from carbon_ledger.store.rows import Connection

ENTRIES_NAMED: Final = 3
PER_TONNE: Final = Decimal("0.001")

# Fiscal year and profile of a report, and a cell of it.
Place = tuple[int, str, str]
# Columns of base years: those of ESRS E1 and the question of module 7.
BASE_YEAR: Final = re.compile(r"E1-.*/base_year|CDP-7\.5/.*")


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Lines recorded since a year was reported that reports do not tell apart, and why they were:
    kgCO2e by `row`, how many lines, the first of them.
    """

    why: str
    row: CubeRow
    lines: int
    entry_ids: tuple[UUID, ...]


@dataclass(kw_only=True)
class ReportedBefore:
    """Figures as each fiscal year was last reported with, and what moved since.

    `moved` has, by the year of entries and the moment as of which was reported, what was recorded
    after it. Causes are put in words when they are asked for: only changed figures have one.
    """

    figures: list[Reported] = field(default_factory=list)
    moved: dict[tuple[int, datetime], list[Moved]] = field(default_factory=dict)
    _cells: dict[Place, tuple[Cell, Report]] = field(default_factory=dict)

    @property
    def causes(self) -> Mapping[Reported, str]:
        """Why a figure that was reported is another now."""
        return _Causes(self)

    def add(self, report: Report, bound_at: datetime) -> None:
        """Takes over the figures that the tables of a report show, which its year bound then."""
        cells = report.cells()
        for cell_id, cell in cells.items():
            self._cells[report.fiscal_year, report.profile, cell_id] = (cell, report)
        base_years = {
            year
            for cell_id, cell in cells.items()
            if BASE_YEAR.fullmatch(cell_id)
            for year in years_of(cell, cells)
        }
        shown = {cell.cell_id: cell for table in report.tables for cell in table.cells()}
        self.figures += [
            Reported(
                fiscal_year=report.fiscal_year,
                profile=report.profile,
                cell_id=cell_id,
                value=cell.value,
                unit=cell.unit,
                base_year=min(base_years) if len(base_years) == 1 else None,
                bound_at=bound_at,
            )
            for cell_id, cell in shown.items()
            if isinstance(cell.value, Decimal)
        ]

    def cause(self, figure: Reported) -> str:
        """The lines behind one figure that were recorded since, by why they were; or that there
        are none. KeyError for what was not reported.
        """
        cell, report = self._cells[figure.fiscal_year, figure.profile, figure.cell_id]
        found = self._behind(cell, report)
        if found:
            return "; ".join(_told(why, some) for why, some in _by_why(found).items())
        if cell.operation == "stated":
            return "stated otherwise by the company"
        return (
            "no entry it was made of moved: what the company states, reference data or the rules "
            f"of the report changed (reported by code {report.code_version})"
        )

    def _behind(self, cell: Cell, report: Report) -> list[Moved]:
        if cell.selection is not None and cell.year is not None:
            asked = replace(cell.selection, other_gases=())
            moved = self.moved.get((cell.year, report.as_of), [])
            return [one for one in moved if asked.covers(one.row)]
        found: list[Moved] = []
        for name in cell.inputs:
            part, _ = self._cells[report.fiscal_year, report.profile, name]
            for one in self._behind(part, report):
                if not any(one is other for other in found):
                    found.append(one)
        return found


@dataclass(frozen=True)
class _Causes(Mapping[Reported, str]):
    before: ReportedBefore

    def __getitem__(self, figure: Reported) -> str:
        return self.before.cause(figure)

    def __iter__(self) -> Iterator[Reported]:
        return iter(self.before.figures)

    def __len__(self) -> int:
        return len(self.before.figures)


def reported_before(
    conn: Connection,
    organization: str,
    years: Mapping[int, tuple[date, date]],
    as_of: datetime,
) -> ReportedBefore:
    """What an organization's fiscal years, each with its days `[begin, end)`, were last reported
    with, as known at a moment, and what was recorded of the entries behind it since.

    Only whole reports that a reported period binds count, also where it was reopened since: what
    was published was published. Raises BrokenInvariant `snapshot_changed` where one was altered.
    """
    found = ReportedBefore()
    rows = conn.execute(
        query("reported_years"),
        {"organization": organization, "years": [str(one) for one in years], "as_of": as_of},
    ).fetchall()
    for report_ids, reported_as_of, bound_at in rows:
        for snapshot_id in report_ids:
            found.add(read_snapshot(conn, snapshot_id).opened(), bound_at)
        for each in sorted(years):
            found.moved[each, reported_as_of] = _since(
                conn, organization, years[each], reported_as_of, as_of
            )
    return found


def _since(
    conn: Connection,
    organization: str,
    period: tuple[date, date],
    after: datetime,
    until: datetime,
) -> list[Moved]:
    """What was recorded of a period in (after, until]."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            query("report_moved"),
            {
                "organization": organization,
                "after": after,
                "until": until,
                "begin": period[0],
                "end": period[1],
            },
        ).fetchall()
    return [_moved(row) for row in rows]


def _moved(row: dict[str, Any]) -> Moved:
    why, lines, entry_ids = row.pop("why"), row.pop("lines"), row.pop("entry_ids")
    return Moved(
        why=why, row=CubeRow(**row, entries=lines), lines=lines, entry_ids=tuple(entry_ids)
    )


def _by_why(found: Iterable[Moved]) -> dict[str, list[Moved]]:
    causes: dict[str, list[Moved]] = {}
    for one in found:
        causes.setdefault(one.why, []).append(one)
    return dict(sorted(causes.items()))


def _told(why: str, some: Iterable[Moved]) -> str:
    """One cause: how many lines, what they come to, and the first of them."""
    lines, total = 0, Decimal(0)
    ids: list[UUID] = []
    for one in some:
        lines += one.lines
        total = PRODUCT.add(total, one.row.kgco2e)
        ids += one.entry_ids
    tonnes = canonical_text(PRODUCT.multiply(total, PER_TONNE))
    sign = "+" if total > 0 else ""
    named = ", ".join(str(one) for one in ids[:ENTRIES_NAMED])
    more = f" and {lines - ENTRIES_NAMED} more" if lines > ENTRIES_NAMED else ""
    word = "line" if lines == 1 else "lines"
    return f"{why}: {lines} {word}, {sign}{tonnes} tCO2e (entries {named}{more})"
