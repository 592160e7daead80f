"""The entries of one organization and fiscal year, summed by what reports tell them apart by.

Belongs here: the sums every report is made of, and which of them (and of the entries) a figure
takes. Does not: reading them (carbon_ledger.store.report_sums), tables (carbon_ledger.reporting).

Every reported figure is a sum of rows that a `Selection` covers, and the same selection finds the
entries behind it: a figure and its trail cannot be about different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.quantities import PRODUCT

Measure = Literal[
    "kgco2e",
    "kg_co2_fossil",
    "kg_co2_biogenic",
    "kg_ch4",
    "kg_n2o",
    "other_gases",
    "quantity",
    "primary_kgco2e",
    "substituted_kgco2e",
]
ZERO: Final = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CubeRow:
    """Standing entries that agree in the first fields, and their sums.

    kg for gases (zero where an entry does not give them apart: see `gas_split`), kgCO2e for
    `primary_kgco2e` (each figure times its share of primary data) and for `substituted_kgco2e`
    (figures by a life-cycle factor in place of a direct one). `other_gases`: gas and kg, in order.
    """

    scope: int
    category: int | None
    basis: str
    stream: str
    facility_id: str
    country_iso2: str
    activity_type: str
    unit: str
    method: str
    gwp_set: str
    gas_split: str
    factor_id: str
    factor_version: int
    formula_id: str = ""
    quantity: Decimal = ZERO
    kgco2e: Decimal
    kg_co2_fossil: Decimal = ZERO
    kg_co2_biogenic: Decimal = ZERO
    kg_ch4: Decimal = ZERO
    kg_n2o: Decimal = ZERO
    other_gases: tuple[tuple[str, Decimal], ...] = ()
    primary_kgco2e: Decimal = ZERO
    substituted_kgco2e: Decimal = ZERO
    entries: int
    factor_releases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which rows, and which entries, a figure takes: those that are in every list that is given.

    An empty list asks nothing. `without_bases` are left out. `activity_prefixes` are what the
    activity type begins with. `other_gases`: one of these gases is among the other gases of a row,
    and the measure `other_gases` is kg of them alone.
    """

    scopes: tuple[int, ...] = ()
    categories: tuple[int, ...] = ()
    bases: tuple[str, ...] = ()
    without_bases: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    facilities: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    activity_types: tuple[str, ...] = ()
    activity_prefixes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    factor_ids: tuple[str, ...] = ()
    factor_versions: tuple[int, ...] = ()
    formula_ids: tuple[str, ...] = ()
    gas_splits: tuple[str, ...] = ()
    gwp_sets: tuple[str, ...] = ()
    other_gases: tuple[str, ...] = ()

    def covers(self, row: CubeRow) -> bool:
        """Whether the row is taken."""
        asked = (
            (self.scopes, row.scope),
            (self.categories, row.category),
            (self.bases, row.basis),
            (self.streams, row.stream),
            (self.facilities, row.facility_id),
            (self.countries, row.country_iso2),
            (self.activity_types, row.activity_type),
            (self.methods, row.method),
            (self.units, row.unit),
            (self.factor_ids, row.factor_id),
            (self.factor_versions, row.factor_version),
            (self.formula_ids, row.formula_id),
            (self.gas_splits, row.gas_split),
            (self.gwp_sets, row.gwp_set),
        )
        return (
            all(not wanted or value in wanted for wanted, value in asked)
            and row.basis not in self.without_bases
            and (not self.activity_prefixes or row.activity_type.startswith(self.activity_prefixes))
            and (not self.other_gases or any(gas in self.other_gases for gas, _ in row.other_gases))
        )

    def as_text(self) -> dict[str, list[str]]:
        """What is asked, by name, for records and pages; nothing for what is not asked."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: [str(value) for value in values] for name, values in given.items() if values}


# Bases of lines of 0 kg that say why something is not counted where they are (an order, a bill of
# fuel that meters have, a leg that was not driven): nothing was measured, so that alone they are no
# figure.
NOT_MEASURED: Final = ("evidence", "informational")

# Scope 2 is reported twice, never added together; what rests on a market-based figure in category 3
# is a figure of its own as well (GHG Protocol Scope 2 Guidance, chapter 7).
SCOPE_1: Final = Selection(scopes=(1,), without_bases=NOT_MEASURED)
SCOPE_2_LOCATION: Final = Selection(scopes=(2,), bases=("location",))
SCOPE_2_MARKET: Final = Selection(scopes=(2,), bases=("market",))
SCOPE_3: Final = Selection(scopes=(3,), without_bases=(*NOT_MEASURED, "market"))


def category(number: int) -> Selection:
    """Category `number` of scope 3, where calculated for both bases the location-based figure."""
    return replace(SCOPE_3, categories=(number,))


def selected(rows: Iterable[CubeRow], selection: Selection) -> list[CubeRow]:
    """The rows a selection covers, in their order."""
    return [row for row in rows if selection.covers(row)]


def total_of(
    rows: Iterable[CubeRow], measure: Measure = "kgco2e", other_gases: Sequence[str] = ()
) -> Decimal:
    """Their exact sum; of the measure `other_gases`, kg of the gases that are named."""
    total = ZERO
    for row in rows:
        if measure == "other_gases":
            parts = [kg for gas, kg in row.other_gases if gas in other_gases]
        else:
            parts = [getattr(row, measure)]
        for part in parts:
            total = PRODUCT.add(total, part)
    return total


def entries_of(rows: Iterable[CubeRow]) -> int:
    """How many entries stand in them."""
    return sum(row.entries for row in rows)


def values_of(rows: Sequence[CubeRow], name: str) -> tuple[str, ...]:
    """The different values of one of the fields that rows are told apart by, in order."""
    return tuple(sorted({str(getattr(row, name)) for row in rows}))
