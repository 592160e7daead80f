"""CDP 7.5 to 7.9: base year, gross emissions of the three scopes, and their assurance.

Belongs here: those answers. Does not: comparisons and intensities (cdp_intensity), breakdowns
(cdp_breakdowns), what is asked (cdp_questions).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from carbon_ledger.organisation.categories import (
    ASSET_SPECIFIC,
    AVERAGE_DATA,
    CATEGORIES,
    DIRECT_USE_PHASE,
    DISTANCE_BASED,
    FRANCHISE_SPECIFIC,
    FUEL_BASED,
    HYBRID,
    INVESTMENT_SPECIFIC,
    SITE_SPECIFIC,
    SPEND_BASED,
    SUPPLIER_SPECIFIC,
    WASTE_SPECIFIC,
)
from carbon_ledger.purchasing.primary_data import SUPPLIER_BASIS
from carbon_ledger.reporting.cdp_answers import GROSS, PAST_YEAR, REPORTING_YEAR, Answers
from carbon_ledger.reporting.cdp_profile import cell_id
from carbon_ledger.reporting.cdp_questions import LISTS, MANY, OTHER
from carbon_ledger.reporting.cube import SCOPE_3, category, selected, values_of
from carbon_ledger.reporting.stated import Stated
from carbon_ledger.reporting.tables import Cell, Row, Table

# The ledger's words for a method, and the questionnaire's.
METHODOLOGY: Final[Mapping[str, str]] = {
    SUPPLIER_SPECIFIC: "Supplier-specific method",
    HYBRID: "Hybrid method",
    AVERAGE_DATA: "Average data method",
    "average_data": "Average data method",
    SPEND_BASED: "Spend-based method",
    FUEL_BASED: "Fuel-based method",
    DISTANCE_BASED: "Distance-based method",
    SITE_SPECIFIC: "Site-specific method",
    ASSET_SPECIFIC: "Asset-specific method",
    WASTE_SPECIFIC: "Waste-type-specific method",
    FRANCHISE_SPECIFIC: "Franchise-specific method",
    INVESTMENT_SPECIFIC: "Investment-specific method",
    DIRECT_USE_PHASE: "Methodology for direct use phase emissions",
}
RELEVANT: Final = "Relevant, calculated"
LATER: Final = "Relevant, not yet calculated"
CALCULATED_ANYWAY: Final = "Not relevant, calculated"
NOT_RELEVANT: Final = "Not relevant, explanation provided"
NOT_EVALUATED: Final = "Not evaluated"
BEYOND: Final = {"other_upstream": "Other (upstream)", "other_downstream": "Other (downstream)"}

IN_PLACE: Final = "Third-party verification or assurance process in place"
NOT_IN_PLACE: Final = "No third-party verification or assurance"
NO_DATA: Final = "No emissions data provided"
SCOPE_LABELS: Final[Mapping[str, str]] = {
    "scope_1": "Scope 1",
    "scope_2_location": "Scope 2 (location-based)",
    "scope_2_market": "Scope 2 (market-based)",
}


def emissions(answers: Answers) -> tuple[Table, ...]:
    """The tables of 7.5 to 7.9.3."""
    return (
        _base_year(answers),
        _gross(answers, "7.6", "scope_1"),
        _gross(answers, "7.7", "scope_2_location", "scope_2_market"),
        _categories(answers),
        _past_categories(answers),
        *_assurance(answers),
    )


def category_row(number: int) -> str:
    """What the row of a category is called."""
    return f"category_{number:02}"


def _category_label(number: int) -> str:
    return f"Scope 3 category {number}: {CATEGORIES[number].name}"


def _base_year(answers: Answers) -> Table:
    year = answers.inputs.base_year
    selections = {name: selection for name, (_, selection) in GROSS.items()}
    selections |= {category_row(number): category(number) for number in CATEGORIES}
    labels = {
        **SCOPE_LABELS,
        **{category_row(number): _category_label(number) for number in CATEGORIES},
    }
    rows = []
    for name, selection in selections.items():
        if year is None:
            cells = {
                "emissions": answers.maker.empty(
                    cell_id("7.5", name, "emissions"), "no base year is stated", unit="tCO2e"
                )
            }
        else:
            end, details = answers.last_day(year).isoformat(), answers.details(selection, year)
            cells = {
                "base_year_end": answers.text("7.5", name, "base_year_end", end),
                "emissions": answers.entries("7.5", name, "emissions", selection, year),
            }
            if cells["emissions"].value is not None:
                cells["details"] = answers.explained("7.5", name, "details", details)
        rows.append(Row(row_id=name, label=labels[name], cells=cells))
    return answers.table("7.5", rows)


def _gross(answers: Answers, number: str, *names: str) -> Table:
    rows = []
    years = {REPORTING_YEAR: answers.year, PAST_YEAR: answers.inputs.comparative}
    for row_id, year in years.items():
        cells = {name: answers.gross(name, year) for name in names}
        if row_id == PAST_YEAR and all(one.value is None for one in cells.values()):
            continue
        details = answers.details(GROSS[names[0]][1], year)
        cells["end_date"] = answers.text(
            number, row_id, "end_date", answers.last_day(year).isoformat()
        )
        cells["details"] = answers.explained(number, row_id, "details", details)
        rows.append(Row(row_id=row_id, label=_year_label(row_id), cells=cells))
    return answers.table(number, rows)


def _year_label(row_id: str) -> str:
    return "Reporting year" if row_id == REPORTING_YEAR else "Past year 1"


# ---- scope 3


def _categories(answers: Answers) -> Table:
    # All of scope 3 at once, for the tie-out: an entry in no category would be in no row.
    answers.entries("7.8", "all", "emissions", SCOPE_3)
    rows = [_category(answers, number) for number in CATEGORIES]
    for row_id, label in BEYOND.items():
        words = "every activity of the ledger is in one of the 15 categories"
        cells = {
            "status": answers.text("7.8", row_id, "status", NOT_RELEVANT),
            "explanation": answers.explained("7.8", row_id, "explanation", words),
        }
        rows.append(Row(row_id=row_id, label=label, cells=cells))
    return answers.table("7.8", rows)


def _category(answers: Answers, number: int) -> Row:
    row_id = category_row(number)
    left_out = answers.statement("category_excluded", str(number))
    later = answers.statement("category_to_calculate", str(number))
    figure = answers.entries("7.8", row_id, "emissions", category(number))
    cells: dict[str, Cell] = {
        "status": answers.text("7.8", row_id, "status", _status(figure, left_out, later)),
        "emissions": figure,
    }
    if figure.value is not None:
        methods = _methodology(answers, number)
        cells["methodology"] = answers.text("7.8", row_id, "methodology", methods)
        cells["supplier_pct"] = _supplier_share(answers, number, figure)
    reason = left_out or later
    if reason is not None:
        cells["explanation"] = answers.told("7.8", row_id, "explanation", reason)
    elif figure.value is None:
        cells["explanation"] = answers.maker.empty(
            cell_id("7.8", row_id, "explanation"), "state it: category_excluded"
        )
    else:
        words = answers.details(category(number), answers.year)
        cells["explanation"] = answers.explained("7.8", row_id, "explanation", words)
    return Row(row_id=row_id, label=CATEGORIES[number].name, cells=cells)


def _status(figure: Cell, left_out: Stated | None, later: Stated | None) -> str:
    if figure.value is not None:
        return CALCULATED_ANYWAY if left_out else RELEVANT
    if left_out:
        return NOT_RELEVANT
    return LATER if later else NOT_EVALUATED


def _methodology(answers: Answers, number: int) -> str:
    """The methods of a category's entries in the list's words and order, then all others."""
    rows = selected(answers.inputs.cubes.get(answers.year, ()), category(number))
    methods = values_of(rows, "method")
    known = {METHODOLOGY[one] for one in methods if one in METHODOLOGY}
    others = [f"{OTHER}: {one or 'not stated'}" for one in methods if one not in METHODOLOGY]
    return MANY.join([*(one for one in LISTS["methodology"] if one in known), *others])


def _supplier_share(answers: Answers, number: int, figure: Cell) -> Cell:
    """Every entry with data of suppliers or partners in full (Scope 3 Standard, 11.1), in percent:
    what suppliers declare, and every entry by a method that primary data of others went into.
    """
    row_id = category_row(number)
    name = cell_id("7.8", row_id, "of_suppliers")
    declared = replace(category(number), bases=(SUPPLIER_BASIS,))
    others = replace(
        category(number), without_bases=(*category(number).without_bases, SUPPLIER_BASIS)
    )
    rows = selected(answers.inputs.cubes.get(answers.year, ()), others)
    methods = values_of([row for row in rows if row.primary_kgco2e], "method")
    if not methods:
        of_suppliers = answers.maker.of_entries(name, answers.year, declared, is_part=True)
    else:
        parts = [
            answers.maker.of_entries(f"{name}_{part}", answers.year, selection, is_part=True)
            for part, selection in (
                ("declared", declared),
                ("measured", replace(others, methods=tuple(methods))),
            )
        ]
        of_suppliers = answers.maker.sum(name, parts)
    return answers.quotient("7.8", row_id, "supplier_pct", of_suppliers, figure)


def _past_categories(answers: Answers) -> Table:
    year = answers.inputs.comparative
    cells = {
        category_row(number): answers.entries(
            "7.8.1", PAST_YEAR, category_row(number), category(number), year
        )
        for number in CATEGORIES
    }
    if all(one.value is None for one in cells.values()):
        return answers.table("7.8.1", (), (f"{year} has no entries in scope 3",))
    end = answers.text("7.8.1", PAST_YEAR, "end_date", answers.last_day(year).isoformat())
    comment = answers.explained(
        "7.8.1", PAST_YEAR, "comment", f"as known at {answers.inputs.as_of.isoformat()}"
    )
    row = Row(
        row_id=PAST_YEAR,
        label=_year_label(PAST_YEAR),
        cells={"end_date": end, **cells, "comment": comment},
    )
    return answers.table("7.8.1", (row,))


# ---- assurance

# Column: the statement it is from, and its unit if it is a figure.
_ASSURED: Final[Mapping[str, tuple[str, str]]] = {
    "cycle": ("verification_cycle", ""),
    "status": ("verification_status", ""),
    "type": ("verification_type", ""),
    "statement": ("verification_statement", ""),
    "page": ("verification_page", ""),
    "standard": ("verification_standard", ""),
    "verified_pct": ("verified_pct", "%"),
}


def _assurance(answers: Answers) -> Iterator[Table]:
    keys = {
        "scope_1": ("scope_1",),
        "scope_2": ("scope_2_location", "scope_2_market"),
        "scope_3": ("scope_3", *map(category_row, CATEGORIES)),
    }
    assured = {
        scope: [key for key in known if _is_assured(answers, key)] for scope, known in keys.items()
    }
    figures = {
        "scope_1": [answers.gross("scope_1")],
        "scope_2": [answers.gross("scope_2_location"), answers.gross("scope_2_market")],
        "scope_3": [answers.maker.made[cell_id("7.8", "all", "emissions")]],
    }
    labels = {
        "scope_1": "Scope 1",
        "scope_2": "Scope 2 (location-based or market-based)",
        "scope_3": "Scope 3",
    }
    rows = []
    for scope, label in labels.items():
        has_data = any(isinstance(one.value, Decimal) for one in figures[scope])
        status = (IN_PLACE if assured[scope] else NOT_IN_PLACE) if has_data else NO_DATA
        cell = answers.text("7.9", scope, "status", status)
        rows.append(Row(row_id=scope, label=label, cells={"status": cell}))
    yield answers.table("7.9", rows)
    for number, scope in (("7.9.1", "scope_1"), ("7.9.2", "scope_2"), ("7.9.3", "scope_3")):
        notes = () if assured[scope] else ("no assurance is stated",)
        told = [_assured_row(answers, number, key, at) for at, key in enumerate(assured[scope], 1)]
        yield answers.table(number, told, notes)


def _is_assured(answers: Answers, key: str) -> bool:
    subjects = ("verification", *(subject for subject, _ in _ASSURED.values()))
    return any(answers.statement(subject, key) for subject in subjects)


def _assured_row(answers: Answers, number: str, key: str, at: int) -> Row:
    cells: dict[str, Cell] = {}
    if number == "7.9.2":
        approach = SCOPE_LABELS[key].replace("(", "").replace(")", "")
        cells["approach"] = answers.text(number, key, "approach", approach)
    if number == "7.9.3":
        name = (
            "All scope 3"
            if key == "scope_3"
            else _category_label(int(key.removeprefix("category_")))
        )
        cells["category"] = answers.text(number, key, "category", name)
    for column, (subject, unit) in _ASSURED.items():
        statement = answers.statement(subject, key)
        if column == "statement" and statement is None:
            statement = answers.statement("verification", key)
        cells[column] = answers.told(number, key, column, statement, unit)
    return Row(row_id=key, label=f"Row {at}", cells=cells)
