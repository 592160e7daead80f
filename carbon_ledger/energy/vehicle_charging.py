"""Electricity that own vehicles are charged with away from meters of the company, as kWh of a year.

Belongs here: from the sums of location-based entries of vehicles to kWh and the load they are on
their country's market. Does not: the entries (carbon_ledger.transport), the waterfall
(carbon_ledger.energy.scope2_waterfall), posting (carbon_ledger.energy.period_postings).

Who charges at somebody else's plug has no contract for that power: only certificates that name no
site and were bought without power cover it, then the residual mix, else the grid average (GHG
Protocol Scope 2 Guidance (2015), table 6.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.data_quality import DEFAULT_SCORES
from carbon_ledger.energy.certificate_matching import total
from carbon_ledger.energy.scope2_waterfall import IN_THE_YEAR, Period, SiteLoad
from carbon_ledger.energy.sum_amounts import ROUNDING as ROUNDED
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import GRID, FactorBook
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.factor_book.use import weigh
from carbon_ledger.lines import EmissionLine
from carbon_ledger.organisation.categories import DISTANCE_BASED
from carbon_ledger.quantities import PRODUCT, ROUNDING, quantize_posted

# What market-based lines of such kWh are of, apart from those of sites.
ACTIVITY: Final = "vehicle_electricity:market"
# The unit of what was read; quantities in another are distances.
MEASURED_UNIT: Final = "kWh"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChargingSum:
    """Standing location-based entries of vehicles' electricity of a year that share place, factor
    and set of potentials: `quantity` in `unit` (kWh, or km or the like), `kgco2e`, of `entries`
    entries whose ids, in order, hash to `sha256` (hexadecimal). `local_date` is their first.
    """

    organization_id: str
    facility_id: str
    country_iso2: str
    region: str | None
    local_date: date
    unit: str
    factor_id: str
    factor_version: int
    factor_release: str
    gwp_set: str
    quantity: Decimal
    kgco2e: Decimal
    entries: int
    sha256: str

    @property
    def is_measured(self) -> bool:
        """Whether kWh were read, and not followed from a distance."""
        return self.unit == MEASURED_UNIT

    @property
    def place(self) -> str:
        """What its load is called: of no site, so that no instrument of a site covers it."""
        how = "charging" if self.is_measured else "charging_by_distance"
        return f"{how}:{self.country_iso2}/{self.facility_id}"


def charged_kwh(one: ChargingSum, book: FactorBook) -> Decimal:
    """The kWh that were charged, 12 decimals, by the book of the entries' release.

    kWh whose figure is quantity times factor are what was read. Where the figure is of less (what
    another segment has covered is taken off) or of a distance, the kWh are the figure over the
    kgCO2e per kWh of the grid that the factor was made with: for a distance the grid's row of the
    same publisher, edition and country. Raises RejectedRecord `amount_not_known`.
    """
    row = _row(one, book)
    grid = row if one.is_measured else _grid_of(row, book)
    if grid is None:
        raise _unknown(one, f"{one.factor_id} is of no grid whose kgCO2e per kWh are known")
    per_kwh = weigh(grid, book.gwp, one.gwp_set).kgco2e_per_unit
    if one.is_measured and _is_whole(one, per_kwh):
        return one.quantity
    if not per_kwh:
        raise _unknown(one, f"{grid.factor_id} is zero, so that its figure does not say how much")
    return quantize_posted(ROUNDING.divide(one.kgco2e, per_kwh))


def kgco2e_per_kwh(
    factor_id: str, factor_version: int, gwp_set: str, unit: str, book: FactorBook
) -> Decimal | None:
    """Of the grid that a factor of vehicles' electricity was made with, by which `charged_kwh` has
    the kWh of quantities in `unit`; None where `book` has none, so that their kWh are not known.
    """
    row = _find(factor_id, factor_version, book)
    is_measured = unit == MEASURED_UNIT
    grid = row if row is None or is_measured else _grid_of(row, book)
    if grid is None:
        return None
    rate = weigh(grid, book.gwp, gwp_set).kgco2e_per_unit
    return rate if is_measured or rate else None


def charging_loads(
    charging: Sequence[tuple[ChargingSum, Decimal]], period: Period
) -> list[SiteLoad]:
    """A load per place of the vehicles' kWh, on the market of its country."""
    groups: dict[str, list[tuple[ChargingSum, Decimal]]] = {}
    for one, kwh in charging:
        groups.setdefault(one.place, []).append((one, kwh))
    return [
        SiteLoad(
            facility_id=place,
            market=members[0][0].country_iso2,
            country_iso2=members[0][0].country_iso2,
            kwh=total(kwh for _, kwh in members),
            occurred_from=period.begin + IN_THE_YEAR,
            occurred_to=period.end,
            supply="charging",
        )
        for place, members in sorted(groups.items())
    ]


def charged_line(line: EmissionLine, one: ChargingSum) -> EmissionLine:
    """A market-based line of such a load: of vehicles, and as well known as their kWh are."""
    scores = "telematics_fuel" if one.is_measured else "telematics_distance"
    return replace(
        line,
        activity_type=ACTIVITY,
        method="measured" if one.is_measured else DISTANCE_BASED,
        activity_scores=DEFAULT_SCORES[scores],
        primary_share=Decimal(0),
    )


def _is_whole(one: ChargingSum, per_kwh: Decimal) -> bool:
    exact = Fraction(PRODUCT.multiply(one.quantity, per_kwh))
    return abs(exact - Fraction(one.kgco2e)) <= one.entries * ROUNDED


def _row(one: ChargingSum, book: FactorBook) -> Factor:
    row = _find(one.factor_id, one.factor_version, book)
    if row is None:
        why = f"release {book.release_id} has no {one.factor_id}#{one.factor_version}"
        raise _unknown(one, why)
    return row


def _find(factor_id: str, factor_version: int, book: FactorBook) -> Factor | None:
    for row in _candidates(book, factor_id):
        if (row.factor_id, row.version) == (factor_id, factor_version):
            return row
    return None


def _candidates(book: FactorBook, factor_id: str) -> Iterable[Factor]:
    return book.rows_of("transport" if factor_id.startswith("transport:") else "grid")


def _grid_of(row: Factor, book: FactorBook) -> Factor | None:
    """The grid's row that a publisher's figure of electric vehicles of an edition rests on."""
    found = [
        one
        for one in book.rows_of("grid")
        if (one.source_id, one.year, one.country_iso2, one.region)
        == (row.source_id, row.year, row.country_iso2, None)
        and one.energy_source == GRID
        and one.basis == "location"
    ]
    newest = max((one.version for one in found), default=0)
    chosen = [one for one in found if one.version == newest]
    return chosen[0] if len(chosen) == 1 else None


def _unknown(one: ChargingSum, why: str) -> RejectedRecord:
    return RejectedRecord(
        "amount_not_known",
        f"{one.quantity} {one.unit} of vehicles in {one.country_iso2}: {why}",
        field="unit",
        value=one.unit,
        valid="kWh charged, or a distance whose factor is of an edition with a grid factor",
    )
