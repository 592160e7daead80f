"""The kWh that were metered beside those of the market-based lines that were posted for them.

Belongs here: the comparison. Does not: the energy of a report (energy_mix), posting (energy).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.energy.sum_amounts import ROUNDING as ROUNDED
from carbon_ledger.quantities import PRODUCT, ROUNDING, canonical_text, quantize_posted
from carbon_ledger.reporting.cube import ZERO, CubeRow
from carbon_ledger.reporting.energy_rows import (
    ChargingRates,
    is_charging,
    is_location,
    is_market_of_meters,
    is_market_of_vehicles,
    is_read,
    rate_key,
    times,
)
from carbon_ledger.units import ratio

CHARGING: Final = "vehicles charged at "
# kWh that follow from figures are rounded to 12 decimals for each group of entries.
_KWH_ROUNDING: Final = Decimal("1E-9")


def metered_faults(
    rows: Sequence[CubeRow], charging: ChargingRates | None = None
) -> tuple[str, ...]:
    """Sites whose market-based lines are of other kWh than were metered, and places where vehicles
    were charged with other kWh than were read, each told in words.
    """
    metered: dict[str, Decimal] = defaultdict(Decimal)
    posted: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if is_market_of_meters(row):
            place, kwh = posted, row.quantity
        elif is_location(row) and row.activity_type.startswith(("electricity:", "self_generated:")):
            place, kwh = metered, row.quantity
        elif is_market_of_vehicles(row) and is_read(row):
            place, kwh = posted, row.quantity
        elif is_charging(row) and is_read(row):
            place, kwh = metered, _kwh_read(row, (charging or {}).get(rate_key(row)))
        else:
            continue
        site = _told_place(row)
        place[site] = PRODUCT.add(place[site], quantize_posted(times(kwh, ratio(row.unit, "kWh"))))
    return tuple(
        f"{site}: metered {canonical_text(metered.get(site, ZERO))} kWh, market-based lines are of "
        f"{canonical_text(kwh)} kWh"
        for site, kwh in sorted(posted.items())
        if abs(kwh - metered.get(site, ZERO)) > (_KWH_ROUNDING if CHARGING in site else ZERO)
    )


def _told_place(row: CubeRow) -> str:
    if is_market_of_vehicles(row) or is_charging(row):
        return f"{CHARGING}{row.country_iso2}/{row.facility_id}"
    return row.facility_id


def _kwh_read(row: CubeRow, per_kwh: Decimal | None) -> Decimal:
    """What was read; where the figure is of less, since another segment has the rest, that part."""
    if not per_kwh:
        return row.quantity
    exact = Fraction(PRODUCT.multiply(row.quantity, per_kwh))
    if abs(exact - Fraction(row.kgco2e)) <= row.entries * ROUNDED:
        return row.quantity
    return quantize_posted(ROUNDING.divide(row.kgco2e, per_kwh))
