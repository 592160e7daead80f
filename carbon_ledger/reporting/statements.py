"""What a report says in words: boundary, methods, factors and what else its figures rest on.

Belongs here: words that follow from the inputs and the cells. Does not: which figures were restated
(restatements), tables of a standard, how words are shown.

Every statement is there in every report, also when there is nothing to say: that nothing was
restated is a statement too. What the company itself says to one (statement `explanation`, its key
the heading in small letters) stands below what the ledger says. Sources: GHG Protocol Corporate
Standard, chapter 9, Scope 3 Standard, 11.1; ESRS E1 AR 39, 45(e), 46(g)-(i), ESRS 1, 7.4 and 7.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from carbon_ledger.organisation.categories import CATEGORIES
from carbon_ledger.quantities import PRODUCT, ROUNDING, canonical_text
from carbon_ledger.reporting.cube import (
    SCOPE_1,
    SCOPE_2_LOCATION,
    SCOPE_2_MARKET,
    SCOPE_3,
    CubeRow,
    Selection,
    category,
    entries_of,
    selected,
    total_of,
    values_of,
)
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.reading import read_figure
from carbon_ledger.reporting.restatements import Restatement
from carbon_ledger.reporting.stated import stated_of
from carbon_ledger.reporting.tables import Statement

PARTS: Final[dict[str, Selection]] = {
    "Scope 1": SCOPE_1,
    "Scope 2, location-based": SCOPE_2_LOCATION,
    "Scope 2, market-based": SCOPE_2_MARKET,
    "Scope 3": SCOPE_3,
}
NO_GASES: Final = "not_available"


def statements_of(inputs: ReportInputs, restated: Sequence[Restatement]) -> tuple[Statement, ...]:
    """All statements, in their order; `restated` are the figures that the report has restated."""
    words = _Words(inputs, restated)
    made: tuple[tuple[str, Callable[[], Iterator[str]]], ...] = (
        ("Boundary", words.boundary),
        ("Methods", words.methods),
        ("Factors", words.factors),
        ("Global warming potentials", words.potentials),
        ("Substitutions", words.substitutions),
        ("Assumptions", words.assumptions),
        ("Exclusions", words.exclusions),
        ("Data quality", words.quality),
        ("Uncertainty", words.uncertainty),
        ("Restatements", words.restatements),
    )
    return tuple(
        Statement(heading=heading, text="\n".join((*lines(), *words.explained(heading))))
        for heading, lines in made
    )


class _Words:
    def __init__(self, inputs: ReportInputs, restated: Sequence[Restatement]) -> None:
        self.inputs = inputs
        self.restated = restated
        year = inputs.cubes.get(inputs.fiscal_year, ())
        self.rows = [row for row in year if row.scope]
        self.sums = {name: selected(self.rows, asked) for name, asked in PARTS.items()}

    def explained(self, heading: str) -> Iterator[str]:
        """What the company says to a statement, and the document it rests on."""
        for one in stated_of(self.inputs.statements, "explanation", self.inputs.fiscal_year):
            if one.key.casefold() == heading.casefold() and one.text:
                yield f"{one.text} (stated: {one.source})"

    def boundary(self) -> Iterator[str]:
        inputs = self.inputs
        last_day = inputs.period_end - timedelta(days=1)
        approach = inputs.policy.consolidation.replace("_", " ")
        yield (
            f"Organization {inputs.organization_id}, consolidated by {approach}, the same for all "
            f"scopes. Activities from {inputs.period_begin} to {last_day} by the local dates of "
            f"the sites, as known at {inputs.as_of.isoformat()}."
        )
        facilities = values_of(self.rows, "facility_id")
        countries = [one for one in values_of(self.rows, "country_iso2") if one]
        entities = sorted(
            {
                _entity(place.entity_id, place.entity_name, place.entity_kind)
                for name in facilities
                if (place := inputs.sites.get(name)) is not None and place.entity_id
            }
        )
        yield (
            f"Sites with entries: {len(facilities)}, in {', '.join(countries) or 'no country'}. "
            f"Their entities: {'; '.join(entities) or 'none is registered'}."
        )
        missing = [name or "(none named)" for name in facilities if name not in inputs.sites]
        if missing:
            yield f"Not registered as sites: {', '.join(missing)}."

    def methods(self) -> Iterator[str]:
        for name, rows in self.sums.items():
            if rows:
                yield f"{name}: {_shares(rows, 'method')}."
            else:
                yield f"{name}: no entries."
        for number, known in CATEGORIES.items():
            rows = selected(self.rows, category(number))
            if rows:
                yield f"Category {number} ({known.name}): {_shares(rows, 'method')}."

    def factors(self) -> Iterator[str]:
        releases = sorted({one for row in self.rows for one in row.factor_releases if one})
        rows = {(row.factor_id, row.factor_version) for row in self.rows if row.factor_id}
        yield (
            f"Versions of factors used: {len(rows)}, of "
            f"{'releases ' + ', '.join(releases) if releases else 'no registered release'}. "
            "Each entry names its factor, version and release."
        )

    def potentials(self) -> Iterator[str]:
        yield (
            f"The inventory's set is {self.inputs.policy.gwp_set} over 100 years. By the set in "
            f"the figures: {_shares(self.inventory(), 'gwp_set')}."
        )
        without = [row for row in self.inventory() if row.gas_split == NO_GASES]
        yield (
            "Factors that give CO2e only, so that gases are not known apart and the publisher's "
            f"potentials stay: {_share(without, self.inventory())}."
        )

    def substitutions(self) -> Iterator[str]:
        for name in ("Scope 2, location-based", "Scope 2, market-based"):
            rows = self.sums[name]
            stood_in = total_of(rows, "substituted_kgco2e")
            yield (
                f"{name}: {_tonnes(stood_in)} by a life-cycle factor in place of a direct one, "
                f"{_percent(stood_in, total_of(rows))}; for those amounts no upstream emissions "
                "are in category 3."
            )

    def assumptions(self) -> Iterator[str]:
        policy = self.inputs.policy
        proxies = ", ".join(policy.geography_proxies) or "none"
        yield (
            f"Location-based figures by {policy.location_based_source}, certificates matched by "
            f"{policy.matching_granularity}. Countries whose factors stand in where there is none: "
            f"{proxies}. Factors at most {policy.max_vintage_gap_years} years, price indices at "
            f"most {policy.max_index_gap_years} years from the activity."
        )
        yield (
            f"Purchases are booked by {policy.booking_document.replace('_', ' ')}; where nothing "
            f"tells the sector, the rule is {policy.unmapped_spend}. Of suppliers that state both, "
            f"the {policy.supplier_scope2}-based figure is taken; transport from their gate by "
            f"{policy.outbound_logistics}. Charging at places unknown: {policy.unknown_charging}."
        )
        yield (
            f"Distances driven are {canonical_text(policy.road_daf)} (road) and "
            f"{canonical_text(policy.sea_daf)} (sea) times the shortest; "
            f"{canonical_text(policy.tonnes_per_teu)} t per TEU where no mass is stated."
        )

    def exclusions(self) -> Iterator[str]:
        year = self.inputs.fiscal_year
        left_out = stated_of(self.inputs.statements, "category_excluded", year)
        for one in left_out:
            figure = selected(self.rows, category(int(one.key)))
            amount = f"; its entries: {_tonnes(total_of(figure))}" if figure else ""
            yield f"Category {one.key} is left out: {one.text} (stated: {one.source}){amount}."
        reasons = {int(one.key) for one in left_out}
        silent = [
            str(number)
            for number in CATEGORIES
            if number not in reasons and not selected(self.rows, category(number))
        ]
        if silent:
            yield f"Without entries and without a stated reason: categories {', '.join(silent)}."
        if not left_out and not silent:
            yield "No category of scope 3 is left out."

    def quality(self) -> Iterator[str]:
        stated = stated_of(self.inputs.statements, "category_excluded", self.inputs.fiscal_year)
        left_out = {int(one.key) for one in stated}
        # Those that ESRS E1-6 reports: the share is the one of AR 46(g) there.
        rows = [
            row
            for row in self.sums["Scope 3"]
            if row.category in CATEGORIES and row.category not in left_out
        ]
        names = ", ".join(str(number) for number in sorted(left_out))
        word = "category" if len(left_out) == 1 else "categories"
        primary = total_of(rows, "primary_kgco2e")
        yield (
            f"{entries_of(self.rows):,} entries stand behind this report. With primary data of "
            f"partners: {_percent(primary, total_of(rows))} of scope 3"
            f"{f' without what is left out ({word} {names})' if names else ''}."
        )
        yield (
            "Each entry has five scores (technology, time, geography, completeness, reliability) "
            "for its activity data and for its factor, which its lineage shows."
        )

    def uncertainty(self) -> Iterator[str]:
        yield (
            "No interval is given for the totals of this report. Each entry's scores and factor "
            "are what an interval follows from (pedigree factors; entries of one factor are "
            "correlated); figures of one method and factor are no more certain than that factor."
        )

    def restatements(self) -> Iterator[str]:
        if not self.inputs.previously_reported:
            yield (
                "No figure of the years shown was reported before: no period of them was closed as "
                "reported, so that there is nothing to compare with."
            )
        elif not self.restated:
            yield "No figure that was reported before has changed."
        for one in self.restated:
            new = "none" if one.new is None else canonical_text(one.new)
            change = ""
            if one.new is not None:
                difference = PRODUCT.subtract(one.new, one.old)
                sign = "+" if difference > 0 else ""
                change = f" ({sign}{canonical_text(difference)})"
            yield (
                f"{one.reported_id} of {one.year}: reported {canonical_text(one.old)}, now {new}"
                f"{change} {one.unit}; {one.cause}."
            )

    def inventory(self) -> list[CubeRow]:
        """Rows of the three scopes, scope 2 location-based."""
        return [*self.sums["Scope 1"], *self.sums["Scope 2, location-based"], *self.sums["Scope 3"]]


def _entity(entity_id: str, name: str, kind: str) -> str:
    told = f"{name} ({entity_id})" if name and name != entity_id else entity_id
    return f"{told}, {kind.replace('_', ' ')}" if kind else told


def _tonnes(kg: Decimal) -> str:
    return f"{read_figure(kg.scaleb(-3), 'tCO2e')} tCO2e"


def _percent(part: Decimal, whole: Decimal) -> str:
    if not whole:
        return "nothing to take a share of"
    share = ROUNDING.divide(PRODUCT.multiply(part, Decimal(100)), whole)
    if not 0 <= share <= 100:
        return "no part of a whole, since credits or corrections are among them"
    return f"{read_figure(share, '%')} %"


def _share(rows: Sequence[CubeRow], of: Sequence[CubeRow]) -> str:
    return f"{_tonnes(total_of(rows))}, {_percent(total_of(rows), total_of(of))}"


def _shares(rows: Sequence[CubeRow], name: str) -> str:
    """By value of a field what it is of the rows, the largest first."""
    parts = {
        one: [row for row in rows if getattr(row, name) == one] for one in values_of(rows, name)
    }
    ordered = sorted(parts.items(), key=lambda one: (-total_of(one[1]), one[0]))
    return "; ".join(f"{one or 'not told'} {_share(part, rows)}" for one, part in ordered) or "none"
