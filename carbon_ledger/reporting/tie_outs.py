"""Figures of a report that must agree with one another, and those that do not.

Belongs here: tie-outs between questions of CDP's module 7, between it and ESRS E1, and the sums of
the ESRS taxonomy. Does not: sums of entries (carbon_ledger.reporting.cube), checks in the database.

Every tie-out is exact: both sides are sums of the same entries. A table, row or figure that is not
there counts as nothing, so that what is left out is seen as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from carbon_ledger.organisation.categories import CATEGORIES
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reporting.cdp_answers import FIGURES, GROSS, PAST_YEAR, REPORTING_YEAR
from carbon_ledger.reporting.cdp_breakdowns import REMAINDER, ROUNDED_PER_ENTRY
from carbon_ledger.reporting.cdp_emissions import CALCULATED_ANYWAY, RELEVANT, category_row
from carbon_ledger.reporting.cdp_energy import FUEL_ROWS
from carbon_ledger.reporting.cdp_profile import cell_id, table_id
from carbon_ledger.reporting.cdp_questions import DECREASED
from carbon_ledger.reporting.esrs_profile import profile_of
from carbon_ledger.reporting.tables import Cell, Report, Row, Table

ZERO: Final = Decimal(0)

# Questions whose rows add up to gross figures, and the columns that do.
BREAKDOWNS: Final[Mapping[str, tuple[str, ...]]] = {
    "7.15.1": ("scope_1",),
    "7.16": tuple(GROSS),
    "7.17.1": ("scope_1",),
    "7.17.2": ("scope_1",),
    "7.17.3": ("scope_1",),
    "7.20.1": ("scope_2_location", "scope_2_market"),
    "7.20.2": ("scope_2_location", "scope_2_market"),
    "7.20.3": ("scope_2_location", "scope_2_market"),
    "7.22": tuple(GROSS),
    "7.23.1": tuple(GROSS),
}
# Activities and column of 7.30.1: the rows of ESRS E1-5 that are the same energy.
PURCHASED: Final = ("electricity", "heat", "steam", "cooling")
ENERGY: Final[tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...]] = (
    (("fuel",), "renewable", ("fuel_renewable",)),
    (("fuel",), "non_renewable", ("coal", "oil", "natural_gas", "other_fossil")),
    (PURCHASED, "renewable", ("purchased_renewable",)),
    (PURCHASED, "non_renewable", ("purchased_fossil", "nuclear")),
    (("self_generated",), "total", ("self_generated",)),
    (("all",), "renewable", ("renewable",)),
    (("all",), "non_renewable", ("fossil", "nuclear")),
    (("all",), "total", ("total",)),
)
# Total: the rows it is the sum of (taxonomy of ESRS Set 1, calculation links).
TOTALS: Final[Mapping[str, tuple[str, ...]]] = {
    "total_location": ("scope_1", "scope_2_location", "scope_3"),
    "total_market": ("scope_1", "scope_2_market", "scope_3"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Two figures that should be one: which question, what is compared, both, and left - right."""

    question: str
    what: str
    left: Decimal
    right: Decimal

    @property
    def difference(self) -> Decimal:
        """Left less right, in the unit of both."""
        return PRODUCT.subtract(self.left, self.right)


def cdp_faults(report: Report, esrs: Report | None = None) -> list[Fault]:
    """What does not tie out in module 7, and between it and ESRS E1 of the same entries."""
    found = [
        *_breakdowns(report),
        *_gases(report),
        *_scope_3(report),
        *_changes(report),
        *_category_changes(report),
        *_intensities(report),
        *_energy(report),
    ]
    if esrs is not None:
        found += [*_against_esrs(report, esrs), *_energy_against_esrs(report, esrs)]
    return found


def esrs_faults(report: Report) -> list[Fault]:
    """What does not add up in ESRS E1-6: both totals, and scope 3 by category, in every year."""
    name = profile_of(report.profile).disclosures["emissions"]
    return list(_totals(name, _table(report, name)))


# ---- within module 7


def _breakdowns(report: Report) -> Iterator[Fault]:
    for question, columns in BREAKDOWNS.items():
        rows = _rows(report, question)
        for column in columns:
            of = GROSS[column][0]
            yield from _compared(
                question,
                f"rows of {question} in {column} against {of}",
                _sum(row.cells.get(column) for row in rows),
                _gross(report, column, REPORTING_YEAR),
            )


def _gases(report: Report) -> Iterator[Fault]:
    """Gases weigh no more than the figure of the entries that they are the gases of."""
    remainder = report.cells().get(cell_id("7.15.1", "not_apart", REMAINDER))
    if remainder is None or not isinstance(remainder.value, Decimal):
        return
    whole, gases = (report.cells()[name] for name in remainder.inputs)
    if remainder.value < -ROUNDED_PER_ENTRY * whole.entries:
        yield from _compared(
            "7.15.1", "scope 1 whose gases are given against its gases", whole.value, gases.value
        )


def _scope_3(report: Report) -> Iterator[Fault]:
    whole = report.cells().get(cell_id("7.8", "all", "emissions"))
    categories = _sum(row.cells.get("emissions") for row in _rows(report, "7.8"))
    yield from _compared(
        "7.8",
        "categories of 7.8 against all entries of scope 3",
        categories,
        ZERO if whole is None else _number(whole),
    )


def _changes(report: Report) -> Iterator[Fault]:
    """Reasons of 7.10.1 add up to the year less the year before, by the figure of 7.10.2."""
    chosen = _cell(report, "7.10.2", "answer", "figure")
    word = None if chosen is None else chosen.value
    names = [name for name, one in FIGURES.values() if one == word]
    figure = names[0] if names else "scope_2_location"
    before = [_gross_cell(report, name, PAST_YEAR) for name in ("scope_1", figure)]
    after = [_gross_cell(report, name, REPORTING_YEAR) for name in ("scope_1", figure)]
    if not any(map(_has_figure, before)) or not any(map(_has_figure, after)):
        return
    yield from _compared(
        "7.10.1",
        f"reasons of 7.10.1 against the change of 7.6 and 7.7 ({figure})",
        sum((_signed(row) for row in _rows(report, "7.10.1")), ZERO),
        PRODUCT.subtract(_sum(after), _sum(before)),
    )


def _category_changes(report: Report) -> Iterator[Fault]:
    for row in _rows(report, "7.11.1"):
        now = _cell(report, "7.8", row.row_id, "emissions")
        before = _cell(report, "7.8.1", PAST_YEAR, row.row_id)
        yield from _compared(
            "7.11.1",
            f"change of {row.row_id} against 7.8 and 7.8.1",
            _signed(row),
            PRODUCT.subtract(_number(now), _number(before)),
        )


def _signed(row: Row) -> Decimal:
    change, way = _number(row.cells.get("change")), row.cells.get("direction")
    return -change if way is not None and way.value == DECREASED else change


_OTHER_SCOPE_2: Final = {
    "scope_2_location": "scope_2_market",
    "scope_2_market": "scope_2_location",
}


def _intensities(report: Report) -> Iterator[Fault]:
    names = {word: name for name, word in FIGURES.values()}
    for row in _rows(report, "7.45"):
        word = row.cells["scope_2_figure"].value
        figure = names.get(str(word), "scope_2_location")
        parts = [_gross_cell(report, one, REPORTING_YEAR) for one in ("scope_1", figure)]
        other = _gross_cell(report, _OTHER_SCOPE_2[figure], REPORTING_YEAR)
        # Scope 1 alone is no figure of both.
        is_too_little = not _has_figure(parts[1]) and _has_figure(other)
        whole = ZERO if is_too_little else _sum(parts)
        yield from _compared(
            "7.45",
            f"numerator of {row.row_id} against 7.6 + 7.7 ({figure})",
            _number(row.cells.get("numerator")),
            whole,
        )


def _energy(report: Report) -> Iterator[Fault]:
    """7.30.7 is the fuel of 7.30.1, 7.30.16 the rest; 7.30.14 is no more than is purchased."""

    def total(row_id: str, column: str = "total") -> Decimal:
        return _number(_cell(report, "7.30.1", row_id, column))

    fuels = {row.row_id: row for row in _rows(report, "7.30.7")}
    parts = [fuels[one].cells.get("total") for one in FUEL_ROWS if one in fuels]
    yield from _compared("7.30.7", "fuels of 7.30.7 against 7.30.1", _sum(parts), total("fuel"))
    yield from _compared(
        "7.30.16",
        "countries of 7.30.16 against 7.30.1 without fuel",
        _sum(row.cells.get("total") for row in _rows(report, "7.30.16")),
        PRODUCT.subtract(total("all"), total("fuel")),
    )
    low_carbon = _sum(row.cells.get("energy") for row in _rows(report, "7.30.14"))
    purchased = _sum(
        _cell(report, "7.30.1", "electricity", one) for one in ("renewable", "non_renewable")
    )
    if low_carbon > purchased:
        yield from _compared(
            "7.30.14",
            "low-carbon energy of 7.30.14 against purchased electricity of 7.30.1",
            low_carbon,
            purchased,
        )


# ---- against ESRS E1


def _energy_against_esrs(report: Report, esrs: Report) -> Iterator[Fault]:
    name = profile_of(esrs.profile).disclosures["energy"]
    main = _table(esrs, name)
    for activities, column, rows in ENERGY:
        yield from _compared(
            "7.30.1",
            f"{', '.join(activities)} of 7.30.1 in {column} against {', '.join(rows)} of {name}",
            _sum(_cell(report, "7.30.1", one, column) for one in activities),
            _sum(_of(main, one, "current") for one in rows),
        )


def _against_esrs(report: Report, esrs: Report) -> Iterator[Fault]:
    name = profile_of(esrs.profile).disclosures["emissions"]
    main = _table(esrs, name)
    for row_id, (question, _) in GROSS.items():
        yield from _compared(
            question,
            f"{row_id} of {question} against {name}",
            _gross(report, row_id, REPORTING_YEAR),
            _number(_of(main, row_id, "current")),
        )
    included = []
    for number in CATEGORIES:
        row_id = category_row(number)
        mine, status = (_cell(report, "7.8", row_id, one) for one in ("emissions", "status"))
        word = "" if status is None else status.value
        if word == CALCULATED_ANYWAY and _of(main, row_id, "current") is None:
            continue
        if word == RELEVANT:
            included.append(mine)
        yield from _compared(
            "7.8",
            f"{row_id} of 7.8 against {name}",
            _number(mine),
            _number(_of(main, row_id, "current")),
        )
    yield from _compared(
        "7.8",
        f"relevant categories of 7.8 against scope 3 of {name}",
        _sum(included),
        _number(_of(main, "scope_3", "current")),
    )
    for base in _rows(report, "7.5"):
        theirs = _of(main, base.row_id, "base_year")
        if theirs is not None:
            yield from _compared(
                "7.5",
                f"{base.row_id} of 7.5 against the base year of {name}",
                _number(base.cells.get("emissions")),
                _number(theirs),
            )
    biogenic = _of(_table(esrs, f"{name}-beside"), "biogenic_scope_1", "value")
    yield from _compared(
        "7.12.1",
        f"biogenic carbon of 7.12.1 against {name}",
        _number(_cell(report, "7.12.1", "biogenic", "emissions")),
        _number(biogenic),
    )


def _totals(name: str, main: Table | None) -> Iterator[Fault]:
    if main is None:
        return
    for column in ("current", "comparative", "base_year"):
        if column not in {one.column_id for one in main.columns}:
            continue
        for total, parts in TOTALS.items():
            shown = _of(main, total, column)
            if shown is None or shown.value is None:
                continue  # empty, and its note says why
            yield from _compared(
                name,
                f"{total} of {column} against {', '.join(parts)}",
                _number(_of(main, total, column)),
                _sum(_of(main, part, column) for part in parts),
            )
        # The taxonomy has no calculation link for categories: the sum is tested here.
        categories = (_of(main, category_row(number), column) for number in CATEGORIES)
        yield from _compared(
            name,
            f"scope_3 of {column} against its categories",
            _number(_of(main, "scope_3", column)),
            _sum(categories),
        )


# ---- figures


def _compared(
    question: str, what: str, left: Decimal | str | None, right: Decimal | str | None
) -> Iterator[Fault]:
    one, other = (value if isinstance(value, Decimal) else ZERO for value in (left, right))
    if one != other:
        yield Fault(question=question, what=what, left=one, right=other)


def _table(report: Report, name: str) -> Table | None:
    return next((one for one in report.tables if one.table_id == name), None)


def _rows(report: Report, question: str) -> tuple[Row, ...]:
    table = _table(report, table_id(question))
    return () if table is None else table.rows


def _of(table: Table | None, row_id: str, column: str) -> Cell | None:
    for row in () if table is None else table.rows:
        if row.row_id == row_id:
            return row.cells.get(column)
    return None


def _cell(report: Report, question: str, row_id: str, column: str) -> Cell | None:
    return _of(_table(report, table_id(question)), row_id, column)


def _gross_cell(report: Report, name: str, row_id: str) -> Cell | None:
    return _cell(report, GROSS[name][0], row_id, name)


def _gross(report: Report, name: str, row_id: str) -> Decimal:
    return _number(_gross_cell(report, name, row_id))


def _has_figure(cell: Cell | None) -> bool:
    return cell is not None and isinstance(cell.value, Decimal)


def _number(cell: Cell | None) -> Decimal:
    """The figure, zero for what has none."""
    return cell.value if cell is not None and isinstance(cell.value, Decimal) else ZERO


def _sum(cells: Iterable[Cell | None]) -> Decimal:
    total = ZERO
    for cell in cells:
        total = PRODUCT.add(total, _number(cell))
    return total
