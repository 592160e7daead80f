"""Which sums of entries are of which kind of energy, as ESRS E1-5 and its checks tell them apart.

Belongs here: telling rows apart. Does not: how much energy they are (energy_mix), whether metered
and posted kWh agree (metered_kwh).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.activities.templates import TEMPLATES
from carbon_ledger.energy.period_postings import EXPORTED
from carbon_ledger.energy.vehicle_charging import ACTIVITY as CHARGED
from carbon_ledger.energy.vehicle_charging import MEASURED_UNIT
from carbon_ledger.organisation.categories import DISTANCE_BASED
from carbon_ledger.quantities import PRODUCT, ROUNDING
from carbon_ledger.reporting.cube import NOT_MEASURED, CubeRow

# By factor id, version, set of potentials and unit: kgCO2e per kWh or None (ReportInputs.charging).
ChargingRates = Mapping[tuple[str, int, str, str], Decimal | None]
MARKET_ELECTRICITY: Final = "electricity:market"
VEHICLE_ELECTRICITY: Final = "vehicle_electricity"
MARKET_CHARGING: Final = CHARGED
VEHICLE_DISTANCE: Final = "vehicle_distance:"
# Of these no energy is bought or burnt: chilled water of own chillers is counted as electricity.
WITHOUT_ENERGY: Final = ("chilled_water", EXPORTED)
# Registered activities of scope 1 that burn nothing.
BURN_NOTHING: Final = tuple(
    one.name
    for one in TEMPLATES.values()
    if one.activity_type in ("process_emission", "fugitive_emission")
)


def is_of_scope_1(row: CubeRow) -> bool:
    """Whether something may have been burnt for it."""
    is_measured = row.basis not in NOT_MEASURED
    return row.scope == 1 and is_measured and row.activity_type not in BURN_NOTHING


def is_market_of_meters(row: CubeRow) -> bool:
    """Whether it is a market-based line of metered electricity."""
    return (row.scope, row.basis, row.activity_type) == (2, "market", MARKET_ELECTRICITY)


def is_market_of_vehicles(row: CubeRow) -> bool:
    """Whether it is a market-based line of what vehicles were charged with elsewhere."""
    return (row.scope, row.basis, row.activity_type) == (2, "market", MARKET_CHARGING)


def is_market_electricity(row: CubeRow) -> bool:
    """Whether it is one of the two."""
    return is_market_of_meters(row) or is_market_of_vehicles(row)


def is_location(row: CubeRow) -> bool:
    """Whether energy was bought or generated for it, by the location-based figure."""
    is_energy = row.activity_type not in (*WITHOUT_ENERGY, VEHICLE_ELECTRICITY)
    return (row.scope, row.basis) == (2, "location") and is_energy


def is_charging(row: CubeRow) -> bool:
    """Whether it is what vehicles were charged with elsewhere."""
    return (row.scope, row.basis, row.activity_type) == (2, "location", VEHICLE_ELECTRICITY)


def plug(row: CubeRow) -> tuple[str, str, bool]:
    """Where vehicles were charged, and whether kWh were read there: what period postings have a
    load of. Its market-based lines are in kWh even where they follow from a distance.
    """
    return row.facility_id, row.country_iso2, is_read(row)


def is_read(row: CubeRow) -> bool:
    """Whether kWh were read, and do not follow from a distance."""
    return row.unit == MEASURED_UNIT and row.method != DISTANCE_BASED


def rate_key(row: CubeRow) -> tuple[str, int, str, str]:
    """The key of the row's rate among ChargingRates."""
    return row.factor_id, row.factor_version, row.gwp_set, row.unit


def times(value: Decimal, scale: Fraction) -> Decimal:
    """A figure by an exact ratio, rounded half-even."""
    return ROUNDING.divide(
        PRODUCT.multiply(value, Decimal(scale.numerator)), Decimal(scale.denominator)
    )
