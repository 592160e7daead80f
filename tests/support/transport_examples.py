"""Trips, legs and factors for tests of transport: right ones, changed in the point a test is about.

Independent recomputation: `by_hand` evaluates a working from its written text alone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import Factor, FactorBook, FactorRelease, sealed
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.policy import Policy
from carbon_ledger.reference.register import Register
from carbon_ledger.transport.shipment_events import ShipmentEvent
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from carbon_ledger.workings import Working, posted_fraction
from factor_seeds.load import release
from tests.support.factor_examples import grid_factor

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def shipped_release() -> FactorRelease:
    """The release this project ships."""
    return release()


@cache
def _shipped() -> FactorBook:
    return FactorBook.of(shipped_release())


def shipped(*records: Any, **policy: Any) -> Inventory:
    """The factors this project ships, with what is registered and decided."""
    return Inventory(
        book=_shipped(), now=NOW, policy=Policy(**policy), register=Register(records=records)
    )


def example_factor(
    family: str, unit: str, kgco2e: str, year: int = 2025, **selectors: str
) -> Factor:
    """A factor of an example, stated as CO2e in the set AR5, with these selectors."""
    pairs = tuple(sorted(selectors.items()))
    return sealed(
        replace(
            grid_factor(year),
            factor_id=f"example:{family}:{unit}:{':'.join('='.join(pair) for pair in pairs)}",
            family=family,
            country_iso2="GB",
            energy_source="",
            valid_from=date(year, 1, 1),
            valid_to=date(year + 1, 1, 1),
            boundary="",
            unit=unit,
            kgco2e_per_unit=Decimal(kgco2e),
            selectors=pairs,
            stage=selectors.get("stage", ""),
        )
    )


def stated(*factors: Factor, **policy: Any) -> Inventory:
    """An inventory of an example's own factors, in the set they were stated in."""
    return Inventory(
        book=FactorBook(factors, "example"), now=NOW, policy=Policy(gwp_set="AR5", **policy)
    )


def trip(**changes: Any) -> VehicleTelemetryEvent:
    """A trip of an articulated lorry in Great Britain, without any activity."""
    plain: dict[str, Any] = {
        "vehicle_id": "v1",
        "trip_id": "t1",
        "country_iso2": "GB",
        "vehicle_class": "artic_hgv_over_33t",
        "timestamp": "2025-03-01T10:00:00Z",
        "interval_seconds": 3600,
    }
    return VehicleTelemetryEvent(**{**plain, **changes})


def leg(**changes: Any) -> ShipmentEvent:
    """A delivered leg by road of 230 kg over 700 km, paid by the reporter."""
    plain: dict[str, Any] = {
        "shipment_id": "s1",
        "leg_id": "l1",
        "status": "delivered",
        "mode": "road",
        "origin": "GBLON",
        "destination": "GBMNC",
        "payer": "reporter",
        "carrier_id": "c1",
        "mass_kg": "230",
        "distance_km": "700",
        "distance_kind": "actual",
        "timestamp": "2025-03-01T10:00:00Z",
        "interval_seconds": 36000,
    }
    return ShipmentEvent(**{**plain, **changes})


def refusal(run: Any) -> RejectedRecord:
    """The refusal that `run` ends in."""
    try:
        run()
    except RejectedRecord as problem:
        return problem
    raise AssertionError("it was accepted")


def by_hand(working: Working) -> Decimal:
    """The figure from the written working alone: first number of each line, and its mark."""
    total, product = Fraction(0), None
    for line in working.written()[1:-1]:
        if line.startswith("term "):
            continue
        mark, number = line[2], Fraction(line[4:].split()[0])
        if mark in " -":
            total += product or 0
            product = -number if mark == "-" else number
        elif product is not None:
            product = product * number if mark == "x" else product / number
    return posted_fraction(total + (product or 0))


def check_by_hand(lines: tuple[EmissionLine, ...]) -> None:
    """Every figure and every gas of the lines follows from its written working."""
    for line in lines:
        assert by_hand(line.working) == line.kgco2e
        for gas, working in line.gas_workings:
            assert by_hand(working) == line.gases.get(gas)
