"""CDP 7.10, 7.11 and 7.45: emissions against the year before, and per revenue and other metrics.

Belongs here: those answers. Does not: the figures compared (cdp_emissions), what is asked
(cdp_questions).

Changes of 7.10.1 are positive figures with a direction; what no statement explains is the row
`Unidentified`, so that they always add up to the year less the year before.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from carbon_ledger.organisation.categories import CATEGORIES
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reporting.cdp_answers import FIGURES, Answers, changed, direction
from carbon_ledger.reporting.cdp_emissions import category_row
from carbon_ledger.reporting.cdp_profile import cell_id
from carbon_ledger.reporting.cdp_questions import (
    DECREASED,
    INCREASED,
    LISTS,
    NO_CHANGE,
    OTHER,
)
from carbon_ledger.reporting.cube import SCOPE_3
from carbon_ledger.reporting.stated import Stated
from carbon_ledger.reporting.tables import PERCENT, TONNES, Cell, Row, Table

UNIDENTIFIED: Final = "Unidentified"
SAME: Final = "Remained the same overall"
FIRST_YEAR: Final = "First year of reporting"
REVENUE: Final = "unit total revenue"


def comparisons(answers: Answers) -> tuple[Table, ...]:
    """The tables of 7.10 to 7.11.1."""
    basis = answers.figure[0].removeprefix("scope_2_")
    now = answers.scopes_1_and_2(answers.year, basis)
    before = answers.scopes_1_and_2(answers.inputs.comparative, basis)
    figure = answers.text("7.10.2", "answer", "figure", answers.figure[1])
    return (
        _compared(answers, "7.10", now, before),
        _reasons(answers, now, before),
        answers.table("7.10.2", (_only(figure=figure),)),
        *_categories(answers),
    )


def _only(**cells: Cell) -> Row:
    return Row(row_id="answer", label="Row 1", cells=cells)


def _compared(answers: Answers, number: str, now: Cell, before: Cell) -> Table:
    """In words; without a figure of a year that is not the first, why there are none."""
    way = direction(now, before)
    if way or _is_first_year(answers):
        word = {NO_CHANGE: SAME, "": FIRST_YEAR}.get(way, way)
        cell = answers.text(number, "answer", "comparison", word)
    else:
        why = (now if now.value is None else before).note or "a year has no figure"
        cell = answers.maker.empty(cell_id(number, "answer", "comparison"), why)
    return answers.table(number, (_only(comparison=cell),))


def _is_first_year(answers: Answers) -> bool:
    """Whether nothing of the year before is in the ledger."""
    return not answers.inputs.cubes.get(answers.inputs.comparative)


# ---- 7.10.1


def _reasons(answers: Answers, now: Cell, before: Cell) -> Table:
    if not isinstance(now.value, Decimal) or not isinstance(before.value, Decimal):
        return answers.table("7.10.1", (), ("there is no figure of the year before",))
    stated: dict[str, Stated] = {
        one.key: one for one in answers.statements("emissions_change") if one.value is not None
    }
    rows = []
    known = [one for one in LISTS["change_reason"] if one in stated]
    for reason in (*known, *sorted(stated.keys() - set(known))):
        if reason != UNIDENTIFIED:
            rows.append(_reason(answers, reason, stated[reason], before))
    rows.append(_unidentified(answers, list(stated.values()), now, before))
    return answers.table("7.10.1", rows, _in_one_year_only(answers))


def _in_one_year_only(answers: Answers) -> list[str]:
    """What the two years are not compared in like for like."""
    notes = []
    for name in ("scope_1", answers.figure[0]):
        this, last = answers.gross(name), answers.gross(name, answers.inputs.comparative)
        if (this.value is None) != (last.value is None):
            year = answers.year if this.value is None else answers.inputs.comparative
            notes.append(f"{year} has no entries of {name.replace('_', ' ')}")
    return notes


def _reason(answers: Answers, reason: str, one: Stated, before: Cell) -> Row:
    value = one.value or Decimal(0)
    change = answers.maker.stated(
        cell_id("7.10.1", reason, "change"), abs(value), source=one.source, unit=TONNES
    )
    way = NO_CHANGE if not value else INCREASED if value > 0 else DECREASED
    return _changed_row(answers, reason, change, way, before, one.text)


def _unidentified(answers: Answers, stated: list[Stated], now: Cell, before: Cell) -> Row:
    """Year less year before, less what statements explain."""
    maker, row_id = answers.maker, UNIDENTIFIED
    explained = [
        maker.stated(
            cell_id("7.10.1", row_id, f"explained_{at}"),
            one.value or Decimal(0),
            source=one.source,
            unit=TONNES,
            note=one.key,
        )
        for at, one in enumerate(stated, 1)
        if one.key != UNIDENTIFIED
    ]
    expected = maker.sum(cell_id("7.10.1", row_id, "expected"), (before, *explained))
    change = changed(maker, cell_id("7.10.1", row_id, "change"), now, expected)
    words = "all of the change" if not explained else "the change less the reasons above"
    return _changed_row(answers, row_id, change, direction(now, expected), before, words)


def _changed_row(
    answers: Answers, reason: str, change: Cell, way: str, before: Cell, words: str
) -> Row:
    label = reason if reason in LISTS["change_reason"] else f"{OTHER}: {reason}"
    percentage = answers.quotient("7.10.1", reason, "percentage", change, before)
    formula = (
        f"{_plain(change)} tCO2e / {_plain(before)} tCO2e of {answers.inputs.comparative} "
        f"x 100 = {_plain(percentage)} %"
    )
    cells = {
        "change": change,
        "direction": answers.text("7.10.1", reason, "direction", way),
        "percentage": percentage,
        "calculation": answers.text(
            "7.10.1", reason, "calculation", f"{words}: {formula}" if words else formula
        ),
    }
    return Row(row_id=reason, label=label, cells=cells)


def _plain(cell: Cell) -> str:
    """A figure without trailing zeros."""
    if not isinstance(cell.value, Decimal):
        return "no figure"
    return f"{cell.value.normalize(PRODUCT):f}"


# ---- 7.11


def _categories(answers: Answers) -> Iterator[Table]:
    comparative = answers.inputs.comparative
    now = answers.entries("7.11", "reporting_year", "emissions", SCOPE_3)
    before = answers.entries("7.11", "past_year_1", "emissions", SCOPE_3, comparative)
    yield _compared(answers, "7.11", now, before)
    rows = []
    for number in CATEGORIES:
        this, last = (answers.category(number, year) for year in (answers.year, comparative))
        if this is None or last is None or not direction(this, last):
            continue
        row_id = category_row(number)
        change = changed(answers.maker, cell_id("7.11.1", row_id, "change"), this, last)
        reason = answers.statement("category_change_reason", str(number))
        way = direction(this, last)
        cells = {
            "direction": answers.text("7.11.1", row_id, "direction", way),
            "reason": answers.text("7.11.1", row_id, "reason", UNIDENTIFIED)
            if reason is None
            else answers.told("7.11.1", row_id, "reason", reason),
            "change": change,
            "percentage": answers.quotient("7.11.1", row_id, "percentage", change, last),
            "explanation": answers.explained(
                "7.11.1",
                row_id,
                "explanation",
                f"{_plain(this)} tCO2e after {_plain(last)} tCO2e in {comparative}",
            ),
        }
        rows.append(Row(row_id=row_id, label=CATEGORIES[number].name, cells=cells))
    yield answers.table("7.11.1", rows)


# ---- 7.45


def intensities(answers: Answers) -> Table:
    """7.45: per net revenue, then per every metric stated, each by both figures of scope 2."""
    metrics = [REVENUE] if answers.year in answers.inputs.revenues else []
    metrics += sorted({one.key for one in answers.statements("intensity_denominator")})
    rows = [
        _intensity(answers, metric, at, basis)
        for at, metric in enumerate(metrics, 1)
        for basis in FIGURES
    ]
    notes = () if rows else ("neither net revenue nor another metric is registered",)
    return answers.table("7.45", rows, notes)


def _intensity(answers: Answers, metric: str, at: int, basis: str) -> Row:
    row_id = f"metric_{at}_{basis}"
    numerator = answers.scopes_1_and_2(answers.year, basis)
    denominator = _denominator(answers, row_id, "denominator", metric, answers.year)
    unit = f"{TONNES}/{denominator.unit}"
    intensity = answers.maker.quotient(
        cell_id("7.45", row_id, "intensity"), numerator, denominator, unit=unit
    )
    cells = {
        "intensity": intensity,
        "numerator": numerator,
        "metric": answers.text("7.45", row_id, "metric", metric),
        "denominator": denominator,
        "scope_2_figure": answers.text("7.45", row_id, "scope_2_figure", FIGURES[basis][1]),
    }
    cells |= _against_last_year(answers, metric, row_id, basis, intensity)
    words = f"gross scope 1 and {FIGURES[basis][1].lower()} scope 2 per {metric}"
    cells["explanation"] = answers.explained("7.45", row_id, "explanation", words)
    return Row(row_id=row_id, label=f"{metric}, {FIGURES[basis][1].lower()}", cells=cells)


def _denominator(answers: Answers, row_id: str, column: str, metric: str, year: int) -> Cell:
    name = cell_id("7.45", row_id, column)
    revenue = answers.inputs.revenues.get(year)
    if metric == REVENUE and revenue is not None:
        return answers.maker.stated(
            name, revenue.amount, source=revenue.source, unit=revenue.currency
        )
    one = answers.statement("intensity_denominator", metric, year)
    if one is None or one.value is None:
        return answers.maker.empty(name, f"not registered for {year}", unit=metric)
    return answers.maker.stated(name, one.value, source=one.source, unit=one.text or metric)


def _against_last_year(
    answers: Answers, metric: str, row_id: str, basis: str, intensity: Cell
) -> dict[str, Cell]:
    """Change against the year before; without a figure of it, or in another unit, why."""
    maker, year = answers.maker, answers.inputs.comparative
    before = _denominator(answers, row_id, "denominator_before", metric, year)
    last = maker.quotient(
        cell_id("7.45", row_id, "intensity_before"),
        answers.scopes_1_and_2(year, basis),
        before,
        unit=f"{TONNES}/{before.unit}",
    )
    if not direction(intensity, last) or intensity.unit != last.unit:
        why = "no intensity of the year before in the same unit"
        return {"change_pct": maker.empty(cell_id("7.45", row_id, "change_pct"), why, unit=PERCENT)}
    change = changed(maker, cell_id("7.45", row_id, "change"), intensity, last, unit=intensity.unit)
    cells = {
        "change_pct": answers.quotient("7.45", row_id, "change_pct", change, last),
        "direction": answers.text("7.45", row_id, "direction", direction(intensity, last)),
    }
    own = answers.statement("intensity_change_reason", metric)
    cells["reasons"] = (
        answers.text("7.45", row_id, "reasons", UNIDENTIFIED)
        if own is None
        else answers.told("7.45", row_id, "reasons", own)
    )
    return cells
