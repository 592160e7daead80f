"""Which figures of a report were reported before and are others now.

Belongs here: when cells of two reports are one figure, and the table of restated figures. Does not:
reading what was reported and why it moved (carbon_ledger.store.report_restated), words about it
(carbon_ledger.reporting.statements).

A figure is reported more than once: scope 1 of 2024 is the `current` column of that year's report,
the `comparative` one of the next, later perhaps the base year's. What counts is the report that was
bound last: it is what a reader knows. Sources: ESRS 1, 7.4 and 7.5; GHG Protocol Corporate
Standard, chapter 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from carbon_ledger.reporting.esrs_profile import PREVIOUSLY_STATED, PROFILES
from carbon_ledger.reporting.inputs import Reported, ReportInputs
from carbon_ledger.reporting.stated import stated_of
from carbon_ledger.reporting.tables import (
    UNTAGGED,
    Cell,
    Column,
    Maker,
    Row,
    Section,
    Table,
    Tag,
    years_of,
)

RESTATED: Final = "restated"
RESTATED_TABLE: Final = "Restatements"
CURRENT: Final = "current"
NO_CAUSE: Final = "cause not stated"
EVER: Final = datetime(1, 1, 1, tzinfo=UTC)
# Cells of module 7 that ask for a year's gross figure or category (carbon_ledger.reporting.cdp,
# cdp_answers.GROSS), and the column of ESRS E1-6 that is of the same year.
CDP_YEARS: Final[Mapping[re.Pattern[str], str]] = {
    re.compile(r"CDP-7\.[67]/reporting_year/(scope_\w+)"): CURRENT,
    re.compile(r"CDP-7\.[67]/past_year_1/(scope_\w+)"): "comparative",
    re.compile(r"CDP-7\.8/(category_\d\d)/emissions"): CURRENT,
    re.compile(r"CDP-7\.8\.1/past_year_1/(category_\d\d)"): "comparative",
    re.compile(r"CDP-7\.5/(scope_\w+|category_\d\d)/emissions"): "base_year",
}
CATEGORY: Final = re.compile(r"(?P<table>[^/]+)/category_\d\d")

# What a figure is called whatever column it is in, and its fiscal year.
Figure = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Restatement:
    """A figure that was reported, in a report of `year`, and is another now.

    `reported_id` is the cell it was reported as, `cell_id` the one it is now ("" where this report
    has none), `old` and `new` in `unit`; `new` is None where nothing is left of it. `figure_year`
    is the year that it is a figure of, None for one of several years, such as a change.
    """

    year: int
    reported_id: str
    cell_id: str
    figure_year: int | None
    old: Decimal
    new: Decimal | None
    unit: str
    cause: str


def restatements_of(
    inputs: ReportInputs, cells: Mapping[str, Cell], profile_id: str
) -> tuple[Restatement, ...]:
    """Figures reported before, for the year, the year before or the base year, that differ now in
    a report by `profile_id`: one of each cell, in the order of what was reported.

    Cells without a column of a year are compared with a report of the same year alone. The cause
    is the one the inputs have, and what the company adds to it (`explanation` with the key
    `restated YEAR`).
    """
    last = _last_reported(inputs.previously_reported, profile_id)
    found, shown = [], set()
    for cell_id, cell in cells.items():
        figure = _figure(cell_id, inputs.fiscal_year, inputs.base_year)
        if figure is None or figure not in last:
            continue
        shown.add(figure)
        new = cell.value if isinstance(cell.value, Decimal) else None
        if new != last[figure].value:
            found.append(_restatement(inputs, last[figure], figure, cell=cell, cells=cells))
    years = {inputs.fiscal_year, inputs.comparative, inputs.base_year}
    for figure, one in last.items():
        if figure not in shown and figure[1] in years and _is_category_gone(figure, cells):
            found.append(_restatement(inputs, one, figure))
    return tuple(sorted(found, key=lambda one: (one.year, one.reported_id, one.cell_id)))


def _last_reported(reported: Sequence[Reported], profile_id: str) -> dict[Figure, Reported]:
    """Each figure as the report shows it that was bound last; of two that were bound at once the
    one by the profile that is asked for.
    """
    found: dict[Figure, Reported] = {}
    ordered = sorted(
        reported,
        key=lambda one: (
            one.bound_at or EVER,
            one.fiscal_year,
            one.profile == profile_id,
            one.cell_id,
        ),
    )
    for one in ordered:
        figure = _figure(_called(one, profile_id), one.fiscal_year, one.base_year)
        if figure is not None:
            found[figure] = one
    return found


def _called(one: Reported, profile_id: str) -> str:
    """What a cell of another profile's report is called in one by `profile_id`: versions of ESRS
    number their disclosures differently.
    """
    theirs, ours = PROFILES.get(one.profile), PROFILES.get(profile_id)
    if theirs is None or ours is None:
        return one.cell_id
    names = {name: ours.disclosures[what] for what, name in theirs.disclosures.items()}
    name, _, rest = one.cell_id.partition("/")
    return f"{names.get(name, name)}/{rest}"


def _figure(cell_id: str, year: int, base_year: int | None) -> Figure | None:
    """The figure that a cell of a report of `year` shows; None in a column of the base year where
    the report has none.
    """
    years = {CURRENT: year, "comparative": year - 1, "base_year": base_year}
    name, _, column = cell_id.rpartition("/")
    for pattern, of_column in CDP_YEARS.items():
        match = pattern.fullmatch(cell_id)
        if match:
            name, column = f"CDP/{match[1]}", of_column
    if column not in years:
        return cell_id, year
    of_year = years[column]
    return None if of_year is None else (name, of_year)


def _is_category_gone(figure: Figure, cells: Mapping[str, Cell]) -> bool:
    """Whether it was a category of scope 3 in a table that this report has, without its row."""
    match = CATEGORY.fullmatch(figure[0])
    return match is not None and f"{match['table']}/scope_3/{CURRENT}" in cells


def _restatement(
    inputs: ReportInputs,
    one: Reported,
    figure: Figure,
    *,
    cell: Cell | None = None,
    cells: Mapping[str, Cell] | None = None,
) -> Restatement:
    """What was reported, beside the cell it is now; without `cell` nothing is left of it."""
    of_year: int | None = figure[1]
    if cell is not None and figure[0] == cell.cell_id:
        # No column tells the year: a target is of its own, a change of several.
        years = years_of(cell, cells or {}) or {figure[1]}
        of_year = min(years) if len(years) == 1 else None
    is_figure = cell is not None and isinstance(cell.value, Decimal)
    return Restatement(
        year=one.fiscal_year,
        reported_id=one.cell_id,
        cell_id="" if cell is None else cell.cell_id,
        figure_year=of_year,
        old=one.value,
        new=cell.number if cell is not None and is_figure else None,
        unit=cell.unit if cell is not None and is_figure else one.unit,
        cause="; ".join(_causes(inputs, one)) or NO_CAUSE,
    )


def _causes(inputs: ReportInputs, one: Reported) -> Iterator[str]:
    known = inputs.restatement_causes.get(one, "")
    if known:
        yield known
    for said in stated_of(inputs.statements, "explanation", inputs.fiscal_year):
        if said.key == f"{RESTATED} {one.fiscal_year}" and said.text:
            yield said.text
            return


def restated_sections(
    restated: Sequence[Restatement], cells: Mapping[str, Cell]
) -> tuple[Section, ...]:
    """The table of restated figures with old, new, difference and cause; nothing if none was.

    The old figure has the concept and the year of the new one, on the axis of what was previously
    stated.
    """
    if not restated:
        return ()
    maker = Maker(cubes={})
    rows = []
    for one in restated:
        name = one.cell_id or f"{one.year}/{one.reported_id}"
        place, now = f"{RESTATED}/{name}", cells.get(one.cell_id)
        old = maker.stated(
            f"{place}/old",
            one.old,
            source=f"report of {one.year}, {one.reported_id}",
            unit=one.unit,
            year=one.figure_year,
            tag=UNTAGGED if now is None else _previously(now),
        )
        if now is None:
            new = maker.empty(f"{place}/new", "this report has no such row", unit=one.unit)
        else:
            new = maker.sum(f"{place}/new", (now,), unit=one.unit)
        row = {
            "old": old,
            "new": new,
            "difference": maker.difference(f"{place}/difference", new, old, unit=one.unit),
            "cause": maker.text(f"{place}/cause", one.cause),
        }
        rows.append(Row(row_id=name, label=f"{one.year} {one.reported_id}", cells=row))
    table = Table(
        table_id=RESTATED_TABLE,
        title="Figures reported before that are others now",
        columns=(
            Column(column_id="old", heading="As reported"),
            Column(column_id="new", heading="Now"),
            Column(column_id="difference", heading="Difference"),
            Column(column_id="cause", heading="Cause"),
        ),
        rows=tuple(rows),
        citation="ESRS 1 (Delegated Regulation (EU) 2023/2772), 7.4 and 7.5; GHG Protocol "
        "Corporate Standard, chapter 5",
    )
    return (Section(tables=(table,), cells=maker.made),)


def _previously(now: Cell) -> Tag:
    """The concept of the figure that it is now, on the axis of what was stated before."""
    if not now.concept:
        return Tag(datapoint=now.datapoint)
    return Tag(
        concept=now.concept,
        datapoint=now.datapoint,
        dimensions=(*now.dimensions, PREVIOUSLY_STATED),
    )
