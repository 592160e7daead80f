"""Trips: whose vehicle, what it used, and that each litre, kWh and kilometre counts once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.activities.category_methods import lines_of_activity
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import Factor, FactorBook
from carbon_ledger.greenhouse import CO2, CO2_BIOGENIC
from carbon_ledger.lines import EmissionLine
from carbon_ledger.transport.trip_lines import FORMULAS
from carbon_ledger.transport.vehicles import lines_of_trip
from carbon_ledger.workings import posted_fraction
from tests.support.inventory_examples import inventory as example_inventory
from tests.support.reference_examples import site, vehicle
from tests.support.transport_examples import (
    check_by_hand,
    example_factor,
    refusal,
    shipped,
    shipped_release,
    stated,
    trip,
)

DIESEL_BLEND = "Diesel (average biofuel blend)"
PETROL_BLEND = "Petrol (average biofuel blend)"


def _lines(inventory: Any = None, **changes: Any) -> tuple[EmissionLine, ...]:
    lines = lines_of_trip(trip(**changes), inventory or shipped())
    check_by_hand(lines)
    assert {line.working.formula.formula_id for line in lines} <= {
        *FORMULAS,
        "S3-3B",
        "S3-3C",
        "S3-3C-UPSTREAM",
    }
    return lines


def _places(lines: tuple[EmissionLine, ...]) -> list[tuple[int, int | None, str]]:
    return [(line.assignment.scope, line.assignment.category, line.basis) for line in lines]


def _fuel_rows(diesel: str, petrol: str = "1", wtt: str = "0") -> list[Any]:
    return [
        example_factor("fuel", "L", kg, fuel=name, stage=stage)
        for name, direct in ((DIESEL_BLEND, diesel), (PETROL_BLEND, petrol))
        for stage, kg in (("combustion", direct), ("wtt", wtt), ("outside_of_scopes", "0"))
    ]


# ---- published examples


def test_p46_a_fleet_by_fuel_cards_emits_what_the_nhs_recipe_book_says() -> None:
    """NHS Emission Quantification Recipe Book v1.0, equation 4.5, with UK 2019 factors.

    It prints 69.86 t, which is 69,858.1 kg rounded.
    """
    inventory = stated(*_fuel_rows("2.59411", "2.19585"))
    petrol = _lines(inventory, fuel_type="petrol", fuel_litres="20000", vehicle_class="car_average")
    diesel = _lines(inventory, fuel_type="diesel", fuel_litres="10000")
    scope_1 = [line for line in (*petrol, *diesel) if line.assignment.scope == 1]
    assert sum(line.kgco2e for line in scope_1) == Decimal("69858.1")


def test_p07_dedicated_carriers_by_fuel_and_a_leak_emit_what_the_guidance_says() -> None:
    """Technical Guidance for Calculating Scope 3 Emissions v1.0, example 4.1: 760,000 kg.

    Its factor of 3 kg per litre is the life cycle one, here all in use; the leak of 50 kg of a
    refrigerant of potential 2,000 is stated as its factor.
    """
    inventory = stated(*_fuel_rows("3"))
    carriers = [
        line
        for number, litres in enumerate(("50000", "80000", "90000"))
        for line in _lines(
            inventory,
            vehicle_id=f"carrier{number}",
            operator="carrier",
            fuel_type="diesel",
            fuel_litres=litres,
        )
    ]
    assert {line.assignment.category for line in carriers} == {4}
    leak = {
        "scope": 3,
        "category": 4,
        "quantity": "50",
        "unit": "kg",
        "factor": {"kgco2e": "2000", "per": "kg"},
    }
    leaked = lines_of_activity(leak, example_inventory())
    assert sum(line.kgco2e for line in (*carriers, *leaked)) == Decimal(760000)


# ---- control


CONTROL = [
    ("own", {}, [(1, None, "combustion"), (3, 3, "wtt")], "S1-MOBILE"),
    ("carrier", {}, [(3, 4, "wtw")], "S3-4-PAYER"),
    ("customer_carrier", {}, [(3, 9, "wtw")], "S3-9-PAYER"),
    ("rental", {}, [(3, 6, "wtw")], "S3-6-TRAVEL"),
    ("employee", {}, [(3, 6, "wtw")], "S3-6-TRAVEL"),
    ("rental", {"operational_control": "yes"}, [(1, None, "combustion"), (3, 3, "wtt")], None),
    ("leased", {"lease_type": "finance"}, [(1, None, "combustion"), (3, 3, "wtt")], None),
    ("leased", {"lease_type": "operating"}, [(1, None, "combustion"), (3, 3, "wtt")], None),
    (
        "leased",
        {"lease_type": "operating", "operational_control": "no"},
        [(3, 8, "wtw")],
        "S3-8-LEASED",
    ),
]


@pytest.mark.parametrize(("ownership", "more", "places", "rule"), CONTROL)
def test_the_register_says_whose_the_vehicle_is(
    ownership: str, more: dict[str, str], places: list[Any], rule: str | None
) -> None:
    registered = vehicle(ownership=ownership, vehicle_class="artic_hgv_over_33t", **more)
    lines = _lines(shipped(registered), fuel_type="diesel", fuel_litres="100")
    assert _places(lines) == places
    assert rule in (None, lines[0].assignment.rule)
    assert "vehicle_unregistered" not in lines[0].flags


@pytest.mark.parametrize("operator", ["own", "carrier", "customer_carrier", "rental", "employee"])
def test_an_unregistered_vehicle_is_whose_the_event_says_and_flagged(operator: str) -> None:
    lines = _lines(operator=operator, fuel_type="diesel", fuel_litres="1")
    assert all("vehicle_unregistered" in line.flags for line in lines)
    registered = vehicle(ownership=operator, vehicle_class="artic_hgv_over_33t")
    by_register = _lines(shipped(registered), fuel_type="diesel", fuel_litres="1")
    assert _places(lines) == _places(by_register)


@pytest.mark.parametrize("consolidation", ["financial_control", "equity_share"])
def test_an_operating_lease_is_category_8_for_a_lessee_that_does_not_count_operations(
    consolidation: str,
) -> None:
    registered = vehicle(
        ownership="leased", lease_type="operating", vehicle_class="artic_hgv_over_33t"
    )
    inventory = shipped(registered, consolidation=consolidation)
    lines = _lines(inventory, fuel_type="diesel", fuel_litres="1")
    assert _places(lines) == [(3, 8, "wtw")]


OWN = [(1, None, "combustion"), (3, 3, "wtt")]
BY_CONTROL = [
    # ownership, what is registered, places by operational control, by financial control
    ("rental", {"operational_control": "yes"}, OWN, [(3, 6, "wtw")]),
    ("rental", {"operational_control": "no"}, [(3, 6, "wtw")], [(3, 6, "wtw")]),
    ("leased", {"lease_type": "finance"}, OWN, OWN),
    ("leased", {"lease_type": "finance", "operational_control": "no"}, [(3, 8, "wtw")], OWN),
    ("carrier", {"operational_control": "yes"}, [(3, 4, "wtw")], [(3, 4, "wtw")]),
]


@pytest.mark.parametrize(("ownership", "more", "by_operation", "by_finance"), BY_CONTROL)
def test_who_operates_a_vehicle_decides_by_operational_control_alone(
    ownership: str, more: dict[str, str], by_operation: Any, by_finance: Any
) -> None:
    registered = vehicle(ownership=ownership, vehicle_class="artic_hgv_over_33t", **more)
    for consolidation, places in (
        ("operational_control", by_operation),
        ("financial_control", by_finance),
    ):
        inventory = shipped(registered, consolidation=consolidation)
        assert _places(_lines(inventory, fuel_type="diesel", fuel_litres="1")) == places


def test_a_lease_of_unknown_kind_is_refused_where_the_kind_decides() -> None:
    inventory = shipped(consolidation="financial_control")
    event = trip(operator="leased", fuel_type="diesel", fuel_litres="1")
    assert refusal(lambda: lines_of_trip(event, inventory)).code == "lease_kind_unknown"
    assert _places(_lines(operator="leased", fuel_type="diesel", fuel_litres="1"))[0][0] == 1


def test_the_register_is_asked_for_the_day_of_the_trip() -> None:
    """A vehicle sold to a carrier on the first of March, by the depot's own calendar."""
    sold = (
        vehicle(ownership="own", vehicle_class="artic_hgv_over_33t"),
        vehicle(ownership="carrier", vehicle_class="artic_hgv_over_33t", valid_from="2025-03-01"),
        site("depot", time_zone="America/New_York", country_iso2="US"),
    )
    litres = {"fuel_type": "diesel", "fuel_litres": "1", "timestamp": "2025-03-01T03:00:00Z"}
    in_utc = _lines(shipped(*sold), **litres)
    in_new_york = _lines(shipped(*sold), facility_id="depot", **litres)
    assert _places(in_utc) == [(3, 4, "wtw")]
    assert _places(in_new_york)[0] == (1, None, "combustion")


def test_an_employees_registered_car_commutes_if_the_event_says_so() -> None:
    registered = vehicle(ownership="employee", vehicle_class="car_small")
    inventory = shipped(registered)
    on_business = _lines(inventory, vehicle_class="car_small", fuel_type="petrol", distance_km="10")
    commuting = _lines(
        inventory,
        operator="commuting",
        vehicle_class="car_small",
        fuel_type="petrol",
        distance_km="10",
    )
    assert _places(on_business) == [(3, 6, "wtw")]
    assert _places(commuting) == [(3, 7, "wtw")]
    assert on_business[0].kgco2e == commuting[0].kgco2e


def test_an_event_that_says_otherwise_than_the_register_is_flagged_and_the_register_holds() -> None:
    registered = vehicle(ownership="own", vehicle_class="hgv_all", fuel="petrol")
    lines = _lines(shipped(registered), operator="carrier", fuel_type="diesel", fuel_litres="1")
    assert lines[0].assignment.scope == 1
    assert {"operator_differs", "vehicle_class_differs", "fuel_type_differs"} <= {*lines[0].flags}


# ---- fuel


def test_uk_2025_diesel_at_the_pump_is_what_is_printed_with_upstream_and_memo() -> None:
    """UK government conversion factors 2025: 2.57082 in use, 0.61101 upstream, 0.14 biogenic."""
    direct, upstream = _lines(
        shipped(gwp_set="AR5"), fuel_type="diesel", fuel_litres="100", distance_km="300"
    )
    assert direct.kgco2e == Decimal("257.082")
    assert upstream.kgco2e == Decimal("61.101")
    assert direct.gases.get(CO2_BIOGENIC) == Decimal(14)
    assert direct.gases.get(CO2) == Decimal("253.763")
    assert (direct.quantity, direct.unit, direct.method) == (Decimal(100), "L", "fuel-based")
    assert direct.activity_scores is not None
    assert direct.activity_scores.as_tuple() == (1, 1, 1, 1, 2)
    assert upstream.gas_split == "not_available"


def test_a_figure_in_another_set_is_made_from_the_gases_and_what_has_none_is_flagged() -> None:
    """AR6: 2.53763 + 27.9 x 0.0000103571 + 273 x 0.000124151 per litre."""
    direct, upstream = _lines(fuel_type="diesel", fuel_litres="1")
    assert direct.kgco2e == Decimal("2.571812186090")
    assert direct.gwp_set == "AR6"
    assert "gwp_set_embedded" not in direct.flags
    assert upstream.gwp_set == "AR5"
    assert "gwp_set_embedded" in upstream.flags


BLENDS = [
    # fuel, share, mineral kg, bio kg, biogenic memo; UK 2025 in AR5, per 100 litres
    ("diesel", "0.07", "247.524150000000", "1.172570000000", "16.730000000000"),
    ("petrol", "0.10", "210.585600000000", "0.090100000000", "15.200000000000"),
    ("hvo", "0.30", "186.308500000000", "1.067400000000", "72.900000000000"),
]


@pytest.mark.parametrize(("fuel", "share", "mineral", "bio", "memo"), BLENDS)
def test_a_stated_blend_is_split_into_mineral_and_biofuel(
    fuel: str, share: str, mineral: str, bio: str, memo: str
) -> None:
    lines = _lines(shipped(gwp_set="AR5"), fuel_type=fuel, fuel_litres="100", biofuel_share=share)
    scope_1 = [line for line in lines if line.assignment.scope == 1]
    assert [line.kgco2e for line in scope_1] == [Decimal(mineral), Decimal(bio)]
    assert scope_1[0].gases.get(CO2_BIOGENIC) is None
    assert scope_1[1].gases.get(CO2_BIOGENIC) == Decimal(memo)
    assert [line.basis for line in lines] == ["combustion", "wtt", "combustion", "wtt"]


def test_a_share_of_nothing_or_everything_is_one_fuel() -> None:
    pure = _lines(fuel_type="diesel", fuel_litres="10", biofuel_share="0")
    mineral = _lines(fuel_type="diesel_mineral", fuel_litres="10")
    assert [line.kgco2e for line in pure] == [line.kgco2e for line in mineral]
    assert len(_lines(fuel_type="diesel", fuel_litres="10", biofuel_share="1")) == 2
    assert [line.kgco2e for line in _lines(fuel_type="hvo", fuel_litres="10")] == [
        line.kgco2e for line in _lines(fuel_type="hvo", fuel_litres="10", biofuel_share="1")
    ]


def test_biogenic_carbon_dioxide_is_never_in_a_total() -> None:
    direct, _ = _lines(fuel_type="hvo", fuel_litres="100")
    assert direct.kgco2e == Decimal("3.558")
    assert direct.gases.get(CO2_BIOGENIC) == Decimal(243)
    assert direct.gas_split == "not_available"


def test_an_own_vehicle_without_a_published_upstream_keeps_its_direct_line_flagged() -> None:
    rows = [row for row in _fuel_rows("2.5") if row.stage != "wtt"]
    lines = _lines(stated(*rows), fuel_type="diesel", fuel_litres="10")
    assert [line.kgco2e for line in lines] == [Decimal(25)]
    assert "upstream_factor_missing" in lines[0].flags
    carried = trip(operator="carrier", fuel_type="diesel", fuel_litres="10")
    assert refusal(lambda: lines_of_trip(carried, stated(*rows))).code == "upstream_factor_missing"


# ---- precedence and contradictions


def test_fuel_comes_before_distance_which_only_checks_it() -> None:
    with_distance = _lines(fuel_type="diesel", fuel_litres="100", distance_km="300")
    without = _lines(fuel_type="diesel", fuel_litres="100")
    assert [line.kgco2e for line in with_distance] == [line.kgco2e for line in without]
    assert "fuel_rate_out_of_band" not in with_distance[0].flags


def test_fuel_comes_before_electricity_unless_the_vehicle_has_both() -> None:
    diesel = _lines(fuel_type="diesel", fuel_litres="10", energy_kwh="5")
    assert _places(diesel) == [(1, None, "combustion"), (3, 3, "wtt")]
    assert "energy_beside_fuel_not_posted" in diesel[0].flags
    hybrid = _lines(
        fuel_type="plug_in_hybrid",
        vehicle_class="car_medium",
        fuel_litres="10",
        energy_kwh="5",
        charging="public",
    )
    assert {line.assignment.scope for line in hybrid} == {1, 2, 3}


RATES = [
    ("30", "100", False),  # 30 L/100 km; the tables expect about 36
    ("17", "100", True),
    ("80", "100", True),
    ("0", "100", True),
]


@pytest.mark.parametrize(("litres", "km", "is_odd"), RATES)
def test_litres_per_distance_are_checked_against_the_class(
    litres: str, km: str, is_odd: bool
) -> None:
    lines = _lines(fuel_type="diesel", fuel_litres=litres, distance_km=km)
    assert ("fuel_rate_out_of_band" in lines[0].flags) == is_odd


def test_the_registers_own_band_comes_before_that_of_the_class() -> None:
    registered = vehicle(
        ownership="own",
        vehicle_class="artic_hgv_over_33t",
        l_per_100km_min="75",
        l_per_100km_max="85",
    )
    inventory = shipped(registered)
    within = _lines(inventory, fuel_type="diesel", fuel_litres="80", distance_km="100")
    outside = _lines(inventory, fuel_type="diesel", fuel_litres="30", distance_km="100")
    assert "fuel_rate_out_of_band" not in within[0].flags
    assert "fuel_rate_out_of_band" in outside[0].flags


FLAGGED = [
    ({"fuel_litres": "1", "distance_km": "0"}, "fuel_without_distance"),
    ({"fuel_litres": "1", "distance_km": "9", "vehicle_class": "tank"}, "fuel_rate_not_checked"),
    (
        {"distance_km": "100", "odometer_start_km": "10", "odometer_end_km": "100"},
        "distance_contradicts_odometer",
    ),
    ({"position_distance_km": "100"}, "distance_from_positions"),
]


@pytest.mark.parametrize(("changes", "flag"), FLAGGED)
def test_what_is_accepted_with_a_remark_carries_it(changes: dict[str, str], flag: str) -> None:
    assert flag in _lines(fuel_type="diesel", **changes)[0].flags


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "activity_missing"),
    ({"fuel_litres": "1"}, "fuel_type_missing"),
    ({"fuel_litres": "1", "fuel_type": "kerosene"}, "unknown_fuel_type"),
    ({"fuel_litres": "1", "fuel_type": "electricity"}, "fuel_contradicts_type"),
    ({"energy_kwh": "1", "fuel_type": "diesel"}, "fuel_contradicts_type"),
    (
        {"fuel_litres": "1", "fuel_type": "cng", "biofuel_share": "0.5"},
        "biofuel_share_contradicts_fuel",
    ),
    (
        {"fuel_litres": "1", "fuel_type": "diesel_mineral", "biofuel_share": "0.1"},
        "biofuel_share_contradicts_fuel",
    ),
    ({"distance_km": "1", "fuel_type": "diesel", "vehicle_class": "x"}, "unknown_vehicle_class"),
    ({"distance_km": "1", "fuel_type": "lng"}, "distance_factor_missing"),
    ({"distance_km": "1", "fuel_type": "electricity"}, "distance_factor_missing"),
    ({"fuel_litres": "1", "fuel_type": "diesel", "timestamp": "2015-01-01"}, "factor_vintage_gap"),
    ({"fuel_litres": "1", "fuel_type": "cng", "country_iso2": "US"}, "unknown_fuel_type"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_what_cannot_be_known_is_refused_and_never_guessed(
    changes: dict[str, Any], code: str
) -> None:
    problem = refusal(lambda: lines_of_trip(trip(**changes), shipped()))
    assert problem.code == code
    assert problem.valid


def test_without_proxies_a_country_that_publishes_nothing_is_refused() -> None:
    event = trip(country_iso2="DE", fuel_type="diesel", fuel_litres="1")
    problem = refusal(lambda: lines_of_trip(event, shipped(geography_proxies=())))
    assert problem.code == "factor_missing"
    assert "geography_proxy" in lines_of_trip(event, shipped())[0].flags


# ---- electricity


def test_charging_behind_an_own_meter_adds_nothing() -> None:
    (line,) = _lines(
        fuel_type="electricity", energy_kwh="50", charging="depot", vehicle_class="van_average"
    )
    assert line.kgco2e == 0
    assert (line.quantity, line.unit) == (Decimal(50), "kWh")
    assert line.assignment.rule == "COUNTED-BY-METER"
    assert (line.activity_type, line.basis) == ("vehicle_electricity", "informational")
    assert "charged_behind_own_meter" in line.flags


def test_public_charging_is_scope_2_with_its_upstream_and_losses_in_category_3() -> None:
    """UK 2025: 0.177 in use, 0.0459 upstream of generation, 0.01853 lost on the way, per kWh."""
    lines = _lines(
        shipped(gwp_set="AR5"),
        fuel_type="electricity",
        energy_kwh="50",
        charging="public",
        vehicle_class="van_average",
    )
    assert _places(lines)[0] == (2, None, "location")
    assert [line.kgco2e for line in lines[:3]] == [
        Decimal("8.85"),
        Decimal("2.295"),
        Decimal("0.9265"),
    ]
    assert {line.assignment.category for line in lines[1:]} == {3}
    power = "vehicle_electricity"
    assert {line.activity_type for line in lines} == {
        *(power, f"category_3b:{power}", f"category_3c:{power}"),
    }


def test_a_carriers_electricity_is_one_line_with_all_of_it() -> None:
    parts = _lines(fuel_type="electricity", energy_kwh="50", charging="public")
    (whole,) = _lines(fuel_type="electricity", energy_kwh="50", operator="carrier")
    total = sum((line.working.exact() for line in parts), Fraction(0))
    assert whole.kgco2e == posted_fraction(total)
    assert (whole.assignment.category, whole.basis) == (4, "wtw")
    labels = [term.label for term in whole.working.terms]
    assert labels[0] == "electricity in use"
    assert set(labels[1:]) == {"well to tank", "grid losses"}


UNKNOWN = [("public", 2, "charging_place_assumed"), ("depot", 0, "charging_place_assumed")]


@pytest.mark.parametrize(("choice", "scope", "flag"), UNKNOWN)
def test_where_an_own_vehicle_charged_is_assumed_by_policy_and_flagged(
    choice: str, scope: int, flag: str
) -> None:
    for activity in ({"energy_kwh": "50"}, {"distance_km": "50"}):
        lines = _lines(
            shipped(unknown_charging=choice),
            fuel_type="electricity",
            vehicle_class="van_average",
            **activity,
        )
        assert lines[0].assignment.scope == scope
        assert flag in lines[0].flags


def test_a_policy_may_refuse_charging_of_unknown_place() -> None:
    inventory = shipped(unknown_charging="reject")
    for activity in ({"energy_kwh": "50"}, {"distance_km": "50"}):
        event = trip(fuel_type="electricity", vehicle_class="van_average", **activity)
        assert refusal(lambda event=event: lines_of_trip(event, inventory)).code == (
            "charging_place_missing"
        )


def test_a_life_cycle_grid_factor_has_its_upstream_in_it_already() -> None:
    lines = _lines(fuel_type="electricity", energy_kwh="50", charging="public", country_iso2="DE")
    assert len(lines) == 1
    assert {"boundary_substitute", "included_in_substitute"} <= {*lines[0].flags}


def test_a_battery_van_by_distance_is_scope_2_and_category_3_and_nothing_else() -> None:
    """UK 2025, average van: 0.06315 in use, 0.00662 lost, 0.01759 upstream, per km."""
    lines = _lines(
        shipped(gwp_set="AR5"),
        fuel_type="electricity",
        distance_km="100",
        vehicle_class="van_average",
        charging="public",
    )
    assert [(line.assignment.scope, line.kgco2e) for line in lines] == [
        (2, Decimal("6.315")),
        (3, Decimal("0.662")),
        (3, Decimal("1.759")),
    ]
    assert {line.activity_type for line in lines} == {"vehicle_electricity"}


def test_a_plug_in_hybrid_by_distance_has_fuel_and_electricity_whoever_drives_it() -> None:
    activity = {
        "fuel_type": "plug_in_hybrid",
        "distance_km": "100",
        "vehicle_class": "car_medium",
        "charging": "public",
    }
    own = _lines(**activity)
    (rented,) = _lines(operator="rental", **activity)
    assert {line.assignment.scope for line in own} == {1, 2, 3}
    total = sum((line.working.exact() for line in own), Fraction(0))
    assert rented.kgco2e == posted_fraction(total)
    at_depot = _lines(**{**activity, "charging": "depot"})
    assert at_depot[0].kgco2e == 0
    assert [line.kgco2e for line in at_depot[1:]] == [
        line.kgco2e for line in own if line.assignment.scope == 1 or line.basis == "wtt"
    ]
    assert "upstream_includes_electricity" in at_depot[1].flags


# ---- distance


def test_distance_between_positions_is_adjusted_for_the_road_and_scored_lower() -> None:
    (stated_distance,) = _lines(operator="carrier", fuel_type="diesel", distance_km="105")
    (positions,) = _lines(operator="carrier", fuel_type="diesel", position_distance_km="100")
    assert positions.kgco2e == stated_distance.kgco2e
    assert positions.activity_scores is not None
    assert positions.activity_scores.as_tuple() == (2, 1, 1, 2, 3)
    assert positions.primary_share == 0


def test_an_odometer_stands_in_for_the_distance() -> None:
    by_odometer = _lines(fuel_type="diesel", odometer_start_km="1000.5", odometer_end_km="1300.5")
    by_distance = _lines(fuel_type="diesel", distance_km="300")
    assert [line.kgco2e for line in by_odometer] == [line.kgco2e for line in by_distance]


def test_an_unknown_fuel_is_the_published_average_of_the_class_and_flagged() -> None:
    """UK 2025, average van of unknown fuel: 0.2543 per km."""
    lines = _lines(shipped(gwp_set="AR5"), distance_km="100", vehicle_class="van_average")
    assert lines[0].kgco2e == Decimal("25.43")
    assert "fuel_type_unknown" in lines[0].flags


# ---- United States


def test_a_us_lorry_has_carbon_dioxide_by_the_gallon_and_the_rest_by_the_mile() -> None:
    """EPA hub 2025: 10.21 kg CO2 per gallon; 0.0095 g CH4 and 0.0431 g N2O per mile."""
    litres, km = "378.5411784", "160.9344"  # 100 US gallons, 100 miles
    direct, upstream = _lines(
        country_iso2="US",
        fuel_type="diesel",
        fuel_litres=litres,
        distance_km=km,
        model_year=2015,
    )
    assert direct.gases.get(CO2) == Decimal(1021)
    assert direct.kgco2e == (
        1021 + 100 * (Decimal("0.0000095") * Decimal("27.9") + Decimal("0.0000431") * 273)
    )
    assert not {"co2_only", "ch4_n2o_only", "ch4_n2o_missing"} & {*direct.flags}
    assert "geography_proxy" in upstream.flags


@pytest.mark.parametrize("missing", [{"model_year": None}, {"distance_km": None}])
def test_a_us_lorry_of_unknown_year_or_distance_says_what_is_not_in_its_figure(
    missing: dict[str, Any],
) -> None:
    known = {"distance_km": "100", "model_year": 2015}
    lines = _lines(country_iso2="US", fuel_type="diesel", fuel_litres="100", **{**known, **missing})
    assert {"ch4_n2o_missing", "co2_only"} <= {*lines[0].flags}


def test_us_methane_is_counted_once_for_a_blend() -> None:
    lines = _lines(
        country_iso2="US",
        fuel_type="diesel",
        fuel_litres="100",
        biofuel_share="0.2",
        distance_km="300",
        model_year=2015,
    )
    labels = [term.label for line in lines for term in line.working.terms]
    assert labels.count("methane and nitrous oxide") == 1
    memo = [line.gases.get(CO2_BIOGENIC) for line in lines if line.gases.get(CO2_BIOGENIC)]
    # EPA hub 2025: biodiesel 9.45 kg biogenic CO2 per gallon.
    assert memo == [posted_fraction(Fraction("9.45") * 20 / Fraction("3.785411784"))]


# ---- laws


@given(
    litres=st.decimals(min_value=0, max_value=10**6, places=3),
    share=st.decimals(min_value=0, max_value=1, places=2),
)
@settings(max_examples=25, deadline=None)
def test_a_split_blend_adds_up_to_its_litres(litres: Decimal, share: Decimal) -> None:
    lines = lines_of_trip(
        trip(fuel_type="diesel", fuel_litres=litres, biofuel_share=share), shipped()
    )
    burnt = [line.working.terms[0].operands for line in lines if line.basis == "combustion"]
    amounts = [
        Fraction(operands[0].value)
        * (Fraction(operands[1].value) if operands[1].unit == "share" else 1)
        for operands in burnt
    ]
    assert sum(amounts, Fraction(0)) == Fraction(litres)
    check_by_hand(lines)


@given(litres=st.decimals(min_value=0, max_value=10**9, places=6))
@settings(max_examples=25, deadline=None)
def test_well_to_wheel_is_the_sum_of_scope_1_and_its_upstream(litres: Decimal) -> None:
    activity = {"fuel_type": "diesel", "fuel_litres": litres}
    own = lines_of_trip(trip(**activity), shipped())
    (carried,) = lines_of_trip(trip(operator="carrier", **activity), shipped())
    assert carried.kgco2e == posted_fraction(
        sum((line.working.exact() for line in own), Fraction(0))
    )


USED: list[dict[str, Any]] = [
    {"fuel_type": "diesel", "fuel_litres": "10", "distance_km": "30"},
    {"fuel_type": "diesel", "fuel_litres": "10", "operator": "carrier", "biofuel_share": "0.1"},
    {"fuel_type": "electricity", "distance_km": "9", "vehicle_class": "van_average"},
    {"fuel_type": "plug_in_hybrid", "distance_km": "9", "vehicle_class": "car_small"},
    {"fuel_type": "diesel", "distance_km": "9", "operator": "carrier"},
    {
        "country_iso2": "US",
        "fuel_type": "petrol",
        "fuel_litres": "9",
        "distance_km": "100",
        "model_year": 2010,
        "vehicle_class": "car_small",
    },
]


@pytest.mark.parametrize("changes", USED)
def test_a_factor_that_is_taken_away_is_missed_and_never_made_up_for_silently(
    changes: dict[str, Any],
) -> None:
    """Every row the figures rest on, taken in turn from the book of that year."""
    event = trip(charging="public", **changes)
    inventory = shipped()
    before = lines_of_trip(event, inventory)
    used = {
        operand.source.split(" version ")[0]
        for line in before
        for term in (*line.working.terms, *(t for _, one in line.gas_workings for t in one.terms))
        for operand in term.operands
        if " version " in operand.source
    }
    release = shipped_release()
    of_year = [row for row in release.rows if row.year == 2025]
    near = _neighbours(of_year, used)
    assert used <= {row.factor_id for row in near}
    for factor_id in used:
        left = [row for row in near if row.factor_id != factor_id]
        book = FactorBook(left, "without", release.index_rows)
        code, after = _attempt(event, replace(inventory, book=book))
        if code is not None:
            assert code in ("factor_missing", "incompatible_unit", "upstream_factor_missing")
            continue
        known = {flag for line in before for flag in line.flags}
        new = {flag for line in after for flag in line.flags} - known
        assert new & {"upstream_factor_missing", "ch4_n2o_missing", "geography_proxy"}


def _neighbours(rows: list[Factor], used: set[str]) -> list[Factor]:
    """The used rows, and all that are of the same fuels or vehicles."""
    names = {
        dict(row.selectors).get(column)
        for row in rows
        if row.factor_id in used
        for column in ("fuel", "vehicle_class", "vehicle_group")
    } - {None, ""}
    return [row for row in rows if names & {text for _, text in row.selectors}]


def _attempt(event: Any, inventory: Any) -> tuple[str | None, tuple[EmissionLine, ...]]:
    try:
        return None, lines_of_trip(event, inventory)
    except RejectedRecord as problem:
        return problem.code, ()


AMBIENT: list[dict[str, Any]] = [
    {"fuel_litres": "1000", "fuel_type": "diesel", "biofuel_share": "0.071234"},
    {"fuel_type": "diesel", "odometer_start_km": "123456", "odometer_end_km": "124567"},
]


@pytest.mark.parametrize("changes", AMBIENT)
def test_the_ambient_decimal_context_changes_no_figure(changes: dict[str, Any]) -> None:
    expected = [line.kgco2e for line in lines_of_trip(trip(**changes), shipped())]
    with localcontext() as context:
        context.prec = 3
        assert [line.kgco2e for line in lines_of_trip(trip(**changes), shipped())] == expected


@pytest.mark.parametrize(
    ("energy", "flag"),
    [
        ({"energy_kwh": "10", "charging": "public"}, "fuel_not_stated"),
        ({"fuel_litres": "10"}, "electricity_not_stated"),
    ],
)
def test_the_other_energy_of_a_plug_in_hybrid_is_missed_aloud(
    energy: dict[str, Any], flag: str
) -> None:
    hybrid = {"vehicle_class": "car_average", "fuel_type": "plug_in_hybrid"}
    lines = lines_of_trip(trip(**hybrid, **energy), shipped())
    assert all(flag in line.flags for line in lines)
    both = lines_of_trip(
        trip(**hybrid, energy_kwh="10", charging="public", fuel_litres="10"), shipped()
    )
    assert not any(flag in line.flags for line in both)
