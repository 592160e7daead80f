"""Meter readings and inventories for tests: right ones, of which a test changes what it tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.factor_book.book import Factor, FactorBook
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.policy import Policy
from carbon_ledger.reference.register import Register
from factor_seeds.load import shipped_book
from tests.support.factor_examples import grid_factor
from tests.support.inventory_examples import inventory as stated_inventory
from tests.support.inventory_examples import recomputed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2025, 5, 1, 10, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "sensor_id": "M1",
    "facility_id": "plant",
    "country_iso2": "GB",
    "energy_kwh": "1000",
    "timestamp": START,
    "interval_seconds": 3600,
}
GAS: dict[str, Any] = {"energy_kwh": "0", "meter_kind": "gas", "scope": 1}


def reading(**changes: Any) -> MeterReadingEvent:
    """A reading of 1000 kWh of grid electricity in the UK, changed."""
    return MeterReadingEvent(**{**GOOD, **changes})


@cache
def _book() -> FactorBook:
    return shipped_book()


def shipped(*records: Any, **policy: Any) -> Inventory:
    """The shipped factors, these registered records, these choices of policy."""
    return Inventory(
        book=_book(), now=NOW, policy=Policy(**policy), register=Register(records=records)
    )


def stated(*factors: Factor, **policy: Any) -> Inventory:
    """These factors alone, with potentials, as of NOW."""
    return replace(stated_inventory(factors, **policy), now=NOW)


def plain_grid(country: str, kgco2e: str, year: int = 2024, **changes: Any) -> Factor:
    """A grid factor of one country and year, in AR6 already."""
    return grid_factor(
        year,
        country_iso2=country,
        kgco2e_per_unit=Decimal(kgco2e),
        gwp_set="AR6",
        **changes,
    )


def assert_written(line: EmissionLine) -> None:
    """The line's text alone gives the posted figure, to the last digit."""
    exact = recomputed(line.working.written())
    assert Fraction(line.kgco2e) == Fraction(round(exact * 10**12), 10**12)
