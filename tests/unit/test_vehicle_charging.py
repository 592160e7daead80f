"""What own vehicles are charged with elsewhere, and its market-based figure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.energy.period_postings import Periods, market_of_year
from carbon_ledger.energy.vehicle_charging import (
    ACTIVITY,
    ChargingSum,
    charged_kwh,
    kgco2e_per_kwh,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.transport.vehicles import lines_of_trip
from tests.support.meter_examples import shipped
from tests.support.reference_examples import certificate, residual_mix
from tests.support.transport_examples import trip

MIX = residual_mix("0.7")
VAN = {"vehicle_class": "van_average", "fuel_type": "electricity", "charging": "public"}


def charged(inventory: Inventory, *, entries: int = 1, **fields: Any) -> ChargingSum:
    """The sum of entries like the one that a trip posts in scope 2, location-based."""
    event = trip(**{**VAN, "timestamp": "2024-06-01T09:00:00Z", **fields})
    (line,) = [one for one in lines_of_trip(event, inventory) if one.assignment.scope == 2]
    assert (line.basis, line.activity_type) == ("location", "vehicle_electricity")
    assert line.factor is not None
    return ChargingSum(
        organization_id="acme",
        facility_id="unassigned",
        country_iso2=event.country_iso2,
        region=None,
        local_date=date(2024, 6, 1),
        unit=line.unit,
        factor_id=line.factor.factor.factor_id,
        factor_version=line.factor.factor.version,
        factor_release=inventory.book.release_id,
        gwp_set=line.gwp_set,
        quantity=line.quantity * entries,
        kgco2e=line.kgco2e * entries,
        entries=entries,
        sha256=hashlib.sha256(event.event_id.encode()).hexdigest(),
    )


def market(inventory: Inventory, *sums: ChargingSum, **more: Any) -> Periods:
    charging = [(one, charged_kwh(one, inventory.book)) for one in sums]
    return market_of_year(
        "acme", more.get("sums", []), 2024, inventory, used_before={}, charging=charging
    )


def lines(found: Periods) -> dict[str, tuple[Decimal, Decimal]]:
    assert found.not_posted == ()
    return {
        one.activity_ref.removeprefix("market:"): (one.line.quantity, one.line.kgco2e)
        for one in found.lines
    }


def test_kilowatt_hours_are_what_was_read() -> None:
    inventory = shipped()
    one = charged(inventory, energy_kwh="20.125", entries=3)
    assert charged_kwh(one, inventory.book) == Decimal("60.375")


def test_kilowatt_hours_of_a_distance_are_its_figure_over_that_of_the_same_edition_s_grid() -> None:
    """UK 2024: a battery electric van of average size, kgCO2e per km over kgCO2e per kWh."""
    inventory = shipped()
    one = charged(inventory, distance_km="1000")
    assert one.unit == "km"
    (row,) = [row for row in inventory.book.rows_of("transport") if row.factor_id == one.factor_id]
    assert (row.source_id, row.year) == ("desnz_2024", 2024)
    kwh = charged_kwh(one, inventory.book)
    published = 1000 * row.kgco2e_per_unit / Decimal("0.20705")
    assert abs(kwh / published - 1) < Decimal("0.001")
    # Twice the way is twice the power, and half of what counts is half of it.
    half = charged_kwh(replace(one, kgco2e=one.kgco2e / 2), inventory.book)
    assert abs(half - kwh / 2) < Decimal("1e-11")


def test_what_another_segment_has_covered_is_not_charged_again() -> None:
    inventory = shipped()
    one = charged(inventory, energy_kwh="20")
    kwh = charged_kwh(replace(one, kgco2e=one.kgco2e / 4), inventory.book)
    assert abs(kwh - 5) < Decimal("1e-9")


def test_a_distance_without_a_grid_of_its_edition_is_refused_by_name() -> None:
    inventory = shipped()
    one = charged(inventory, distance_km="1000")
    for strange in (replace(one, factor_id="transport:x"), replace(one, factor_version=99)):
        with pytest.raises(RejectedRecord) as caught:
            charged_kwh(strange, inventory.book)
        assert caught.value.code == "amount_not_known"


def test_kilowatt_hours_follow_from_the_rate_that_is_told_of_their_factor() -> None:
    inventory = shipped()
    for one in (charged(inventory, energy_kwh="20"), charged(inventory, distance_km="1000")):
        factor = (one.factor_id, one.factor_version, one.gwp_set, one.unit)
        rate = kgco2e_per_kwh(*factor, inventory.book)
        assert rate is not None
        assert abs(one.kgco2e / rate - charged_kwh(one, inventory.book)) < Decimal("1e-9")
        assert kgco2e_per_kwh("transport:x", *factor[1:], inventory.book) is None
        assert kgco2e_per_kwh(factor[0], 99, *factor[2:], inventory.book) is None


def test_charging_takes_the_residual_mix_of_the_country_else_its_grid_average() -> None:
    inventory = shipped(MIX)
    german = charged(inventory, energy_kwh="100", country_iso2="DE")
    british = charged(inventory, energy_kwh="10")
    found = market(inventory, german, british)
    assert lines(found) == {
        "charging:DE/unassigned@2024/residual_mix": (Decimal(100), Decimal(70)),
        "charging:GB/unassigned@2024/grid_average": (Decimal(10), british.kgco2e),
    }
    for one in found.lines:
        assert (one.line.assignment.scope, one.line.basis) == (2, "market")
        assert (one.line.activity_type, one.facility_id) == (ACTIVITY, "unassigned")
    assert {one.country_iso2 for one in found.lines} == {"DE", "GB"}
    assert "grid_average_in_market_based:GB" in found.disclosures


def test_only_certificates_bought_without_power_cover_what_is_charged_elsewhere() -> None:
    free, bundled = certificate("free"), certificate("with", kind="certificate_bundled")
    site = certificate("site", facility_id="plant")
    for instruments, covered in (((free,), "free"), ((bundled,), None), ((site,), None)):
        inventory = shipped(MIX, *instruments)
        one = charged(inventory, energy_kwh="1500", country_iso2="DE")
        found = lines(market(inventory, one))
        expected = {"charging:DE/unassigned@2024/residual_mix": (Decimal(1500), Decimal(1050))}
        if covered:
            expected = {
                f"charging:DE/unassigned@2024/{covered}": (Decimal(1000), Decimal(0)),
                "charging:DE/unassigned@2024/residual_mix": (Decimal(500), Decimal(350)),
            }
        assert found == expected


def test_a_distance_and_kilowatt_hours_stand_apart_with_how_well_they_are_known() -> None:
    inventory = shipped()
    read = charged(inventory, energy_kwh="10")
    driven = charged(inventory, distance_km="10")
    found = {one.activity_ref.partition("/")[0]: one.line for one in market(
        inventory, read, driven
    ).lines}  # fmt: skip
    assert found["market:charging:GB"].method == "measured"
    by_distance = found["market:charging_by_distance:GB"]
    assert by_distance.method == "distance-based"
    assert by_distance.unit == "kWh"
    # Grid average of the same edition: the same figure as by location.
    assert abs(by_distance.kgco2e - driven.kgco2e) < Decimal("1e-9")


def test_a_year_without_charging_rests_on_what_it_always_rested_on() -> None:
    inventory = shipped(MIX)
    one = charged(inventory, energy_kwh="1", country_iso2="DE")
    (line,) = market(inventory, one).lines
    assert '"charging":[{' in line.basis_text
    empty = market_of_year("acme", [], 2024, inventory, used_before={})
    assert empty.lines == ()
