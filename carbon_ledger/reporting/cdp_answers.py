"""What the answers of all questions of module 7 share: inputs, the maker of cells, gross emissions.

Belongs here: cells and rows as questions need them. Does not: any question (cdp_emissions,
cdp_breakdowns, cdp_intensity, cdp_energy), what is asked (cdp_questions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from carbon_ledger.reporting.cdp_profile import CdpProfile, cell_id, table_of
from carbon_ledger.reporting.cdp_questions import DECREASED, INCREASED, NO_CHANGE
from carbon_ledger.reporting.cube import (
    SCOPE_1,
    SCOPE_2_LOCATION,
    SCOPE_2_MARKET,
    Selection,
    selected,
)
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.potentials import inventory_set
from carbon_ledger.reporting.stated import Stated, stated_of
from carbon_ledger.reporting.tables import TONNES, Cell, Maker, Row, Table

HUNDRED: Final = Decimal(100)
REPORTING_YEAR: Final = "reporting_year"
PAST_YEAR: Final = "past_year_1"
# Gross figures: the question that asks for each, and what it takes.
GROSS: Final[Mapping[str, tuple[str, Selection]]] = {
    "scope_1": ("7.6", SCOPE_1),
    "scope_2_location": ("7.7", SCOPE_2_LOCATION),
    "scope_2_market": ("7.7", SCOPE_2_MARKET),
}
# Which figure of scope 2 a comparison rests on, by the word of the statement `scope_2_figure`.
FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "location": ("scope_2_location", "Location-based"),
    "market": ("scope_2_market", "Market-based"),
}


@dataclass(kw_only=True)
class Answers:
    """Cells of the questionnaire of one organization and fiscal year."""

    inputs: ReportInputs
    profile: CdpProfile
    maker: Maker = field(init=False)

    def __post_init__(self) -> None:
        self.maker = Maker(cubes=self.inputs.cubes)

    @property
    def year(self) -> int:
        """The reporting year."""
        return self.inputs.fiscal_year

    def table(self, number: str, rows: Iterable[Row], notes: Sequence[str] = ()) -> Table:
        """The answer of a question."""
        return table_of(self.profile, number, rows, notes)

    # ---- cells

    def entries(
        self,
        number: str,
        row_id: str,
        column_id: str,
        selection: Selection,
        year: int | None = None,
    ) -> Cell:
        """tCO2e of the entries of a year, the reporting year unless said."""
        return self.maker.of_entries(
            cell_id(number, row_id, column_id), self.year if year is None else year, selection
        )

    def text(self, number: str, row_id: str, column_id: str, words: str) -> Cell:
        """Words that follow from the ledger."""
        return self.maker.text(cell_id(number, row_id, column_id), words)

    def told(
        self, number: str, row_id: str, column_id: str, statement: Stated | None, unit: str = ""
    ) -> Cell:
        """What a statement says: its figure if `unit` is given, else its words; empty without."""
        name = cell_id(number, row_id, column_id)
        value = None if statement is None else statement.value if unit else statement.text
        if statement is None or value is None:
            return self.maker.empty(name, "not stated", unit=unit)
        return self.maker.stated(name, value, source=statement.source, unit=unit)

    def explained(self, number: str, row_id: str, column_id: str, otherwise: str) -> Cell:
        """The company's own words for `question/row`, or else what follows from the ledger."""
        own = self.statement("explanation", f"{number}/{row_id}")
        if own is not None:
            return self.told(number, row_id, column_id, own)
        return self.text(number, row_id, column_id, otherwise)

    def quotient(self, number: str, row_id: str, column_id: str, above: Cell, below: Cell) -> Cell:
        """`above` in percent of `below`."""
        name = cell_id(number, row_id, column_id)
        return self.maker.quotient(name, above, below, unit="%", scale=HUNDRED)

    # ---- statements

    def statement(self, subject: str, key: str, year: int | None = None) -> Stated | None:
        """The year's statement about one key, None if there is none."""
        for one in self.statements(subject, year):
            if one.key == key:
                return one
        return None

    def statements(self, subject: str, year: int | None = None) -> list[Stated]:
        """The year's statements of a subject, by key."""
        return stated_of(self.inputs.statements, subject, self.year if year is None else year)

    # ---- what several questions rest on

    def gross(self, name: str, year: int | None = None) -> Cell:
        """A gross figure of GROSS, made once: the one that 7.6 or 7.7 shows."""
        asked = self.year if year is None else year
        row_id = REPORTING_YEAR if asked == self.year else f"year_{asked}"
        if asked == self.inputs.comparative:
            row_id = PAST_YEAR
        number, selection = GROSS[name]
        found = self.maker.made.get(cell_id(number, row_id, name))
        return found or self.entries(number, row_id, name, selection, asked)

    def category(self, number: int, year: int) -> Cell | None:
        """The figure of a category as 7.8 or 7.8.1 shows it; None if neither has it."""
        if year == self.year:
            return self.maker.made.get(cell_id("7.8", f"category_{number:02}", "emissions"))
        return self.maker.made.get(cell_id("7.8.1", PAST_YEAR, f"category_{number:02}"))

    @property
    def figure(self) -> tuple[str, str]:
        """Name and word of the scope 2 figure that comparisons rest on: market-based if stated so,
        else location-based, which every load has.
        """
        stated = self.statements("scope_2_figure")
        chosen = stated[-1].text or stated[-1].key if stated else "location"
        return FIGURES.get(chosen, FIGURES["location"])

    def scopes_1_and_2(self, year: int, basis: str) -> Cell:
        """Gross scope 1 plus scope 2 by one figure, made once; empty where scope 2 has a figure by
        the other method alone, since scope 1 alone would be too little.
        """
        name = cell_id("7.45", f"scopes_1_and_2_{basis}", str(year))
        if name in self.maker.made:
            return self.maker.made[name]
        other = "market" if basis == "location" else "location"
        scope_2 = self.gross(f"scope_2_{basis}", year)
        if scope_2.value is None and self.gross(f"scope_2_{other}", year).value is not None:
            why = f"there is no {basis}-based figure of scope 2 of {year}"
            return self.maker.empty(name, why, unit=TONNES)
        return self.maker.sum(name, (self.gross("scope_1", year), scope_2))

    def last_day(self, year: int) -> date:
        """The last day of a fiscal year."""
        end = self.inputs.period_end
        moved = end.replace(year=end.year - self.year + year)
        return moved - timedelta(days=1)

    def details(self, selection: Selection, year: int) -> str:
        """How figures of a year came about, for columns that ask for methods."""
        policy = self.inputs.policy
        whole = self.inputs.cubes.get(year, ())
        rows = selected(whole, selection)
        # The inputs have the reporting year's; of another year it may be another.
        gwp_set = policy.gwp_set if year == self.year else inventory_set(whole)
        releases = sorted({release for row in rows for release in row.factor_releases})
        parts = [
            "GHG Protocol Corporate Standard, Scope 2 Guidance and Scope 3 Standard",
            f"consolidation: {policy.consolidation.replace('_', ' ')}",
            f"global warming potentials over 100 years: {gwp_set}",
        ]
        if releases:
            parts.append(f"emission factors: release {', '.join(releases)}")
        return "; ".join(parts)


def direction(now: Cell, before: Cell) -> str:
    """Whether the first figure is more or less than the second; "" unless both are figures."""
    if not isinstance(now.value, Decimal) or not isinstance(before.value, Decimal):
        return ""
    if now.value == before.value:
        return NO_CHANGE
    return INCREASED if now.value > before.value else DECREASED


def changed(maker: Maker, name: str, now: Cell, before: Cell, *, unit: str = TONNES) -> Cell:
    """How much there is between two figures, whichever is more; `direction` says which way."""
    if direction(now, before) == DECREASED:
        return maker.difference(name, before, now, unit=unit)
    return maker.difference(name, now, before, unit=unit)
