"""Legs of shipments: transport work, intensities, who pays, and whose figure counts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.greenhouse import RADIATIVE_FORCING
from carbon_ledger.lines import EmissionLine
from carbon_ledger.reference.records import Vehicle
from carbon_ledger.transport.leg_lines import FORMULAS, split_of
from carbon_ledger.transport.shipments import lines_of_leg
from carbon_ledger.transport.vehicles import lines_of_trip
from carbon_ledger.workings import posted_fraction
from tests.support.reference_examples import entity, vehicle
from tests.support.transport_examples import (
    NOW,
    check_by_hand,
    example_factor,
    leg,
    refusal,
    shipped,
    stated,
    trip,
)


def _line(inventory: Any = None, **changes: Any) -> EmissionLine:
    event = leg(**changes)
    event.check(NOW)
    (line,) = lines_of_leg(event, inventory or shipped())
    check_by_hand((line,))
    assert line.working.formula.formula_id in FORMULAS
    return line


def _licensed(
    name: str, ttw: str, wtt: str = "0", *, mode: str = "road", unit: str = "tkm", **more: str
) -> list[Any]:
    """The two rows of an operation class of an own set of intensities."""
    selectors = {"category": "freight", "mode": mode, "operation_class": name, **more}
    return [
        example_factor("licensed", unit, kg, stage=stage, **selectors)
        for stage, kg in (("ttw", ttw), ("wtt", wtt))
    ]


# ---- published examples


def test_n3_700_km_of_230_kg_are_161_tkm() -> None:
    """iLEAP Technical Specifications 1.0.0, transport activity."""
    line = _line(stated(*_licensed("toc", "1")), operation_class="toc")
    assert line.kgco2e == 161


P40_P42 = [
    # chain element, km, intensity, kg
    ("tce-1", "423", "0.1", "3.6801"),
    ("tce-2", "321", "0.153", "4.272831"),
]


@pytest.mark.parametrize(("leg_id", "km", "intensity", "kg"), P40_P42)
def test_p40_p42_chain_elements_of_87_kg(leg_id: str, km: str, intensity: str, kg: str) -> None:
    """iLEAP Technical Specifications 1.0.0, end-to-end example; intensities implied by it."""
    # Per kilometre of the shortest way, so nothing is to be adjusted.
    line = _line(
        stated(*_licensed("toc", intensity, distance_basis="shortest")),
        leg_id=leg_id,
        operation_class="toc",
        mass_kg="87",
        distance_km=km,
        distance_kind="shortest_feasible",
    )
    assert line.kgco2e == Decimal(kg)


def test_p40_the_published_sample_prints_its_emissions_as_its_transport_activity() -> None:
    """It states 3.6801 tkm for 87 kg over 423 km, which are 36.801 tkm; 3.6801 is the kgCO2e."""
    chain = {"mass_kg": "87", "distance_km": "423"}
    printed = _line(transport_activity_tkm="3.6801", **chain)
    right = _line(transport_activity_tkm="36.801", **chain)
    rounded = _line(transport_activity_tkm="36.8", **chain)
    assert "transport_activity_mismatch" in printed.flags
    assert printed.kgco2e == right.kgco2e == rounded.kgco2e
    for line in (right, rounded):
        assert "transport_activity_mismatch" not in line.flags


def test_p13_distribution_by_volume_and_days_is_240_kg() -> None:
    """Technical Guidance for Calculating Scope 3 Emissions v1.0, example 4.6."""
    rows = [
        example_factor(
            "licensed",
            "m3_day",
            kg,
            category="freight",
            mode="hub",
            operation_class=name,
            stage="wtw",
        )
        for name, kg in (("distribution_centre", "0.01"), ("retail_centre", "0.02"))
    ]
    lines = [
        _line(
            stated(*rows),
            mode="hub",
            operation_class=name,
            volume_m3="4000",
            days_stored="2",
            mass_kg=None,
            distance_km=None,
            distance_kind=None,
        )
        for name in ("distribution_centre", "retail_centre")
    ]
    assert sum(line.kgco2e for line in lines) == 240
    assert {line.method for line in lines} == {"average-data"}


# ---- category and state


PAYERS = [
    ({"payer": "reporter"}, 4, "S3-4-PAYER"),
    ({"payer": "supplier"}, 4, "S3-4-INBOUND"),
    ({"payer": "customer"}, 9, "S3-9-PAYER"),
]


@pytest.mark.parametrize(("changes", "category", "rule"), PAYERS)
def test_who_pays_decides_the_category(changes: dict[str, str], category: int, rule: str) -> None:
    line = _line(**changes)
    assert (line.assignment.scope, line.assignment.category) == (3, category)
    assert line.assignment.rule == rule


INCOTERMS = [
    ("customer", "DDP", True),
    ("customer", "FCA", False),
    ("supplier", "EXW", True),
    ("supplier", "DAP", False),
    ("reporter", "EXW", False),
    ("reporter", "CIF", False),
]


@pytest.mark.parametrize(("payer", "incoterm", "is_odd"), INCOTERMS)
def test_a_rule_of_delivery_that_makes_another_pay_is_flagged(
    payer: str, incoterm: str, is_odd: bool
) -> None:
    line = _line(payer=payer, incoterm=incoterm)
    assert ("incoterm_contradicts_payer" in line.flags) == is_odd


@pytest.mark.parametrize("status", ["booked", "departed", "cancelled"])
def test_a_leg_that_is_not_delivered_is_a_line_of_nothing(status: str) -> None:
    line = _line(status=status, mass_kg=None, distance_km=None, distance_kind=None)
    assert line.kgco2e == 0
    assert f"not_posted_while_{status}" in line.flags
    assert line.assignment.category == 4


OWN = [
    ({"vehicle_id": "v1"}, (vehicle(ownership="own"),)),
    ({"vehicle_id": "v1"}, (vehicle(ownership="leased", lease_type="finance"),)),
    ({"vehicle_id": "v1"}, ()),
    ({"carrier_id": "haulage"}, (entity("haulage", kind="subsidiary"),)),
]


@pytest.mark.parametrize(("changes", "records"), OWN)
def test_what_an_own_vehicle_carried_is_counted_by_its_fuel(
    changes: dict[str, str], records: tuple[Any, ...]
) -> None:
    line = _line(shipped(*records), **changes)
    assert line.kgco2e == 0
    assert line.assignment.rule == "COUNTED-BY-VEHICLE"
    assert ("vehicle_unregistered" in line.flags) == (not records)


NOT_OWN = [
    ({"vehicle_id": "v1"}, (vehicle(ownership="carrier"),)),
    ({"carrier_id": "haulage"}, (entity("haulage", kind="associate"),)),
]


@pytest.mark.parametrize(("changes", "records"), NOT_OWN)
def test_what_others_carried_is_not(changes: dict[str, str], records: tuple[Any, ...]) -> None:
    assert _line(shipped(*records), **changes).kgco2e > 0


# ---- default figures


def test_an_average_lorry_is_161_tkm_at_the_printed_intensities() -> None:
    """UK 2025: 0.10163 in use and 0.02359 upstream per tkm."""
    line = _line(shipped(gwp_set="AR5"))
    split = split_of(line)
    assert split.ttw == 161 * Decimal("0.10163")
    assert split.wtt == 161 * Decimal("0.02359")
    assert line.kgco2e == 161 * Decimal("0.12522")
    assert "operation_class_average" in line.flags
    assert line.activity_scores is not None
    assert line.activity_scores.as_tuple() == (3, 2, 2, 2, 3)
    assert (line.basis, line.rank, line.primary_share) == ("wtw", 2, 0)


DISTANCES = [
    # mode, class, kind, what 230 kg x 700 km is multiplied by, flag
    ("road", "hgv_all", "actual", "1", None),
    ("road", "hgv_all", "shortest_feasible", "1.05", "daf_applied"),
    ("road", "hgv_all", "great_circle", "1.05", "daf_on_great_circle"),
    ("rail", "rail_freight", "shortest_feasible", "1", "daf_applied"),
    ("sea", "container_average", "great_circle", "1.15", "daf_applied"),
    ("sea", "container_average", "actual", "1", None),
    ("air", "air_long_haul", "great_circle", "1", "daf_included"),
]


@pytest.mark.parametrize(("mode", "name", "kind", "factor", "flag"), DISTANCES)
def test_a_distance_is_adjusted_once_and_only_where_the_intensity_is_per_km_driven(
    mode: str, name: str, kind: str, factor: str, flag: str | None
) -> None:
    inventory = stated(
        *_licensed("toc", "1", mode=mode, distance_basis="actual"), *_licensed("x", "1")
    )
    if mode != "air":
        line = _line(inventory, mode=mode, operation_class="toc", distance_kind=kind)
        assert line.kgco2e == 161 * Decimal(factor)
    published = _line(mode=mode, operation_class=name, distance_kind=kind)
    assert flag is None or flag in published.flags
    assert not {"daf_applied", "daf_included"} <= {*published.flags}


def test_a_flight_whose_intensity_is_per_km_flown_goes_95_km_further() -> None:
    inventory = stated(*_licensed("toc", "1", mode="air"))
    line = _line(
        inventory,
        mode="air",
        operation_class="toc",
        mass_kg="1000",
        distance_km="5000",
        distance_kind="great_circle",
    )
    assert line.kgco2e == 5095
    assert "daf_applied" in line.flags


def test_radiative_forcing_stands_beside_the_figure_of_a_flight() -> None:
    """UK 2025 long haul: 0.5313 without, 0.89939 with forcing, 0.13516 upstream, per tkm."""
    line = _line(
        shipped(gwp_set="AR5"),
        mode="air",
        operation_class="air_long_haul",
        mass_kg="1000",
        distance_km="1000",
        distance_kind="great_circle",
    )
    assert line.kgco2e == Decimal("666.46")
    assert line.gases.get(RADIATIVE_FORCING) == 1000 * (Decimal("0.89939") - Decimal("0.5313"))
    assert "radiative_forcing_apart" in line.flags
    assert line.gas_split == "not_available"


def test_containers_stand_in_for_a_mass_at_their_average_load_flagged() -> None:
    by_teu = _line(mode="sea", operation_class="container_average", mass_kg=None, teu="2.25")
    by_mass = _line(mode="sea", operation_class="container_average", mass_kg="22500")
    assert by_teu.kgco2e == by_mass.kgco2e
    assert "mass_from_teu" in by_teu.flags
    assert (by_teu.quantity, by_teu.unit) == (Decimal("2.25"), "TEU")


def test_an_intensity_per_container_takes_containers() -> None:
    """GLEC sample: 0.0804 kg per TEU-km, Panama trade, dry container."""
    rows = _licensed("panama", "0.0804", "0", mode="sea", unit="TEU_km")
    line = _line(
        stated(*rows),
        mode="sea",
        operation_class="panama",
        mass_kg=None,
        teu="2",
        distance_km="1000",
    )
    assert line.kgco2e == Decimal("160.8")
    assert "mass_from_teu" not in line.flags
    without = leg(mode="sea", operation_class="panama", mass_kg="1")
    assert refusal(lambda: lines_of_leg(without, stated(*rows))).code == "incompatible_unit"


def test_a_hub_by_throughput_takes_the_mass_or_containers_at_their_average_load() -> None:
    selectors = {"category": "freight", "mode": "hub", "operation_class": "port", "stage": "wtw"}
    inventory = stated(example_factor("licensed", "t", "1.2", **selectors))
    hub = {"mode": "hub", "operation_class": "port", "distance_km": None, "distance_kind": None}
    by_mass = _line(inventory, mass_kg="20000", **hub)
    by_teu = _line(inventory, mass_kg=None, teu="2", **hub)
    assert by_mass.kgco2e == by_teu.kgco2e == 24
    assert (by_teu.basis, by_teu.method) == ("wtw", "average-data")


def test_a_part_that_a_figure_has_not_is_nothing_and_of_no_figure_both_are_unknown() -> None:
    line = _line(shipped(gwp_set="AR5"))
    for label, index in (("tank to wheel", 0), ("well to tank", 1)):
        terms = tuple(one for one in line.working.terms if one.label == label)
        split = split_of(replace(line, working=replace(line.working, terms=terms)))
        assert (split.ttw, split.wtt)[1 - index] == 0
        assert (split.ttw, split.wtt)[index] == (split_of(line).ttw, split_of(line).wtt)[index] != 0
    none = split_of(replace(line, working=replace(line.working, terms=())))
    assert (none.ttw, none.wtt) == (None, None)


def test_a_cooled_load_takes_the_cooled_classes_own_factor() -> None:
    cooled = _line(operation_class="hgv_all", is_refrigerated=True)
    by_name = _line(operation_class="hgv_all_refrigerated")
    plain = _line(operation_class="hgv_all")
    assert cooled.kgco2e == by_name.kgco2e > plain.kgco2e


def test_empty_running_counts_only_where_the_intensity_leaves_it_out() -> None:
    """UK 2025, articulated over 33 t driven empty: 0.64734 + 0.15178 per km."""
    inventory = shipped(gwp_set="AR5")
    full = {"operation_class": "artic_hgv_over_33t_full", "mass_kg": "20000"}
    there = _line(inventory, **full)
    both = _line(inventory, empty_return_km="100", **full)
    assert both.kgco2e - there.kgco2e == Decimal("79.912")
    assert split_of(both).wtt == (split_of(there).wtt or 0) + Decimal("15.178")
    average = {"operation_class": "artic_hgv_over_33t", "mass_kg": "20000"}
    once = _line(inventory, empty_return_km="100", **average)
    assert once.kgco2e == _line(inventory, **average).kgco2e
    assert "empty_return_in_intensity" in once.flags


def test_a_class_without_upstream_takes_it_in_the_proportion_of_another_flagged() -> None:
    line = _line(mode="rail", operation_class="us_rail", origin="USCHI", destination="USNYC")
    split = split_of(line)
    british = split_of(_line(mode="rail", operation_class="rail_freight"))
    assert "wtt_by_ratio" in line.flags
    proportions = [(one.wtt or 0) / (one.ttw or Decimal(1)) for one in (split, british)]
    assert abs(proportions[0] - proportions[1]) < Decimal("1E-9")
    assert proportions[0] > 0


def test_a_distance_between_coordinates_is_an_estimate() -> None:
    places = {
        "origin_latitude": "0",
        "origin_longitude": "0",
        "destination_latitude": "0",
        "destination_longitude": "90",
    }
    estimated = _line(distance_km=None, distance_kind=None, **places)
    known = _line(distance_km="10007.557", distance_kind="great_circle")
    assert estimated.kgco2e == known.kgco2e
    assert "distance_estimated" in estimated.flags


def test_a_distance_between_countries_is_an_estimate_of_poor_quality() -> None:
    """London to Paris, 51.50853 -0.12574 to 48.85341 2.3488: 343.7 km by any great circle."""
    estimated = _line(distance_km=None, distance_kind=None, destination="FR")
    nearly = _line(distance_km="343.6", distance_kind="great_circle", destination="FR")
    assert abs(estimated.kgco2e / nearly.kgco2e - 1) < Decimal("0.001")
    assert {"distance_between_countries", "distance_estimated"} <= {*estimated.flags}
    assert "daf_on_great_circle" in estimated.flags
    assert estimated.activity_scores.text == "3,2,4,2,4"
    assert "GeoNames" in str(estimated.working)
    assert "distance_between_countries" not in nearly.flags


def test_what_the_sender_assumed_is_flagged_by_name() -> None:
    line = _line(assumed=("origin", "mode"))
    assert {"assumed_origin", "assumed_mode"} <= {*line.flags}
    assert leg(assumed=("weather",)).problem.code == "unknown_assumption"  # type: ignore[union-attr]


def test_tonne_km_as_the_carrier_states_them_are_of_the_shortest_way() -> None:
    line = _line(mass_kg=None, distance_km=None, distance_kind=None, transport_activity_tkm="161")
    assert line.kgco2e == _line(distance_kind="shortest_feasible").kgco2e
    assert "transport_activity_as_stated" in line.flags


UNSTATED: dict[str, Any] = {"distance_km": None, "distance_kind": None}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"mass_kg": None}, "mass_missing"),
    ({**UNSTATED}, "distance_within_country"),
    ({**UNSTATED, "origin_latitude": "1"}, "distance_within_country"),
    ({**UNSTATED, "destination": "USNYC"}, "distance_not_by_land"),
    ({**UNSTATED, "destination": "BV"}, "distance_unknown_place"),
    (
        {**UNSTATED, "mode": "sea", "operation_class": "container_average", "destination": "ZM"},
        "distance_not_by_sea",
    ),
    (
        {
            **UNSTATED,
            "mode": "inland_waterway",
            "operation_class": "us_inland_waterway",
            "destination": "DE",
        },
        "distance_missing",
    ),
    ({"mode": "sea"}, "operation_class_missing"),
    ({"mode": "air"}, "operation_class_missing"),
    ({"mode": "pipeline"}, "operation_class_missing"),
    ({"mode": "hub"}, "hub_needs_operation_class"),
    ({"operation_class": "rail_freight"}, "operation_class_of_other_mode"),
    ({"mode": "rail", "is_refrigerated": True}, "refrigerated_factor_missing"),
    (
        {"mode": "air", "operation_class": "air_long_haul", "distance_kind": "actual"},
        "distance_kind_mismatch",
    ),
    (
        {
            "mode": "inland_waterway",
            "operation_class": "us_inland_waterway",
            "distance_kind": "great_circle",
            "origin": "USCHI",
        },
        "distance_adjustment_missing",
    ),
    (
        {
            "mode": "air",
            "operation_class": "us_aircraft",
            "origin": "USCHI",
            "distance_km": None,
            "distance_kind": None,
            "transport_activity_tkm": "1",
        },
        "distance_missing",
    ),
    ({"operation_class": "glec_truck_40t"}, "unknown_family"),
    ({"timestamp": "2015-01-01"}, "factor_vintage_gap"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_what_cannot_be_known_is_refused_and_never_guessed(
    changes: dict[str, Any], code: str
) -> None:
    problem = refusal(lambda: lines_of_leg(leg(**changes), shipped()))
    assert problem.code == code
    assert problem.valid


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"mass_kind": "volumetric"}, "mass_not_gross"),
    ({"mass_kind": "chargeable"}, "mass_not_gross"),
    ({"mass_kind": "net"}, "mass_not_gross"),
    ({"distance_kind": None}, "distance_kind_missing"),
    ({"co2e_wtw_kg": "1", "co2e_ttw_kg": "2"}, "ttw_exceeds_wtw"),
    ({"origin": "Hamburg"}, "unknown_place"),
    ({"origin": "ZZHAM"}, "unknown_place"),
    ({"origin": "DEHA1"}, "unknown_place"),
    ({"payer": "nobody"}, "unknown_payer"),
    ({"incoterm": "DAT"}, "unknown_incoterm"),
    ({"status": "lost"}, "unknown_status"),
    ({"mode": "mule"}, "unknown_mode"),
    ({"origin_latitude": "90.1"}, "out_of_range"),
    ({"origin_longitude": "-180.1"}, "out_of_range"),
    ({"mass_kg": "-1"}, "negative_quantity"),
]


@pytest.mark.parametrize(("changes", "code"), CONTRADICTIONS)
def test_an_event_that_cannot_be_is_refused(changes: dict[str, Any], code: str) -> None:
    assert refusal(lambda: leg(**changes).check(NOW)).code == code


@pytest.mark.parametrize("divisor", ["5000", "6000"])
def test_a_mass_that_is_the_volume_over_a_couriers_divisor_is_flagged(divisor: str) -> None:
    mass = Decimal("0.6") * 10**6 / Decimal(divisor)
    assert "mass_looks_volumetric" in _line(mass_kg=mass, volume_m3="0.6").flags
    assert "mass_looks_volumetric" not in _line(mass_kg=mass + 1, volume_m3="0.6").flags


# ---- declared figures


DECLARED = [
    # level, wtw, ttw -> kg, rank, primary share, flag
    ("primary", "25", None, "25", 5, 1, "declared_primary"),
    ("primary", "25", "20", "25", 5, 1, "declared_primary"),
    ("modelled", "25", "20", "25", 4, 0, "declared_modelled"),
]


@pytest.mark.parametrize(("level", "wtw", "ttw", "kg", "rank", "primary", "flag"), DECLARED)
def test_what_the_carrier_declares_takes_the_place_of_the_default(
    level: str, wtw: str, ttw: str | None, kg: str, rank: int, primary: int, flag: str
) -> None:
    line = _line(data_level=level, co2e_wtw_kg=wtw, co2e_ttw_kg=ttw)
    assert line.kgco2e == Decimal(kg)
    assert (line.basis, line.rank, line.primary_share) == ("supplier", rank, primary)
    assert flag in line.flags
    assert split_of(line).ttw == (None if ttw is None else Decimal(ttw))
    assert line.activity_scores is not None
    assert line.activity_scores.as_tuple() == (1, 1, 1, 1, 2)


def test_a_declaration_from_tank_to_wheel_gets_the_upstream_by_the_default_proportion() -> None:
    """UK 2025, AR5: 100 x 0.02359 / 0.10163."""
    line = _line(shipped(gwp_set="AR5"), data_level="primary", co2e_ttw_kg="100")
    expected = 100 + 100 * Fraction("0.02359") / Fraction("0.10163")
    assert line.kgco2e == posted_fraction(expected)
    assert "wtt_by_ratio" in line.flags


@pytest.mark.parametrize("level", ["default", None])
def test_a_declaration_no_better_than_a_default_does_not_replace_one(level: str | None) -> None:
    declared = _line(data_level=level, co2e_wtw_kg="999")
    assert declared.kgco2e == _line().kgco2e
    flag = "declared_default_not_used" if level else "declared_level_unstated"
    assert flag in declared.flags


def test_where_no_default_can_be_made_a_poor_declaration_is_better_than_none() -> None:
    line = _line(
        data_level="default",
        co2e_wtw_kg="25",
        mass_kg=None,
        distance_km=None,
        distance_kind=None,
    )
    assert line.kgco2e == 25
    assert (line.rank, line.primary_share) == (2, 0)
    assert "declared_default" in line.flags


def test_a_carriers_figure_needs_no_factor_of_a_cooled_class() -> None:
    line = _line(mode="rail", is_refrigerated=True, data_level="primary", co2e_wtw_kg="7")
    assert line.kgco2e == 7


# ---- laws


@given(
    mass=st.decimals(min_value=0, max_value=10**6, places=3),
    km=st.decimals(min_value=0, max_value=20000, places=3),
    kind=st.sampled_from(["actual", "shortest_feasible", "great_circle"]),
)
@settings(max_examples=25, deadline=None)
def test_the_split_adds_up_and_work_is_mass_times_distance(
    mass: Decimal, km: Decimal, kind: str
) -> None:
    (line,) = lines_of_leg(leg(mass_kg=mass, distance_km=km, distance_kind=kind), shipped())
    split = split_of(line)
    assert split.ttw is not None
    assert split.wtt is not None
    assert abs(split.ttw + split.wtt - line.kgco2e) <= Decimal("1E-12")
    (twice,) = lines_of_leg(leg(mass_kg=2 * mass, distance_km=km, distance_kind=kind), shipped())
    assert twice.working.exact() == 2 * line.working.exact()
    check_by_hand((line,))


def test_tonne_km_stated_of_km_driven_are_not_adjusted_again() -> None:
    work = {"mass_kg": None, "distance_km": None, "transport_activity_tkm": "161"}
    driven = _line(**work, distance_kind="actual")
    assert driven.kgco2e == _line(distance_kind="actual").kgco2e
    assert "daf_applied" not in driven.flags
    assert "daf_on_great_circle" in _line(**work, distance_kind="great_circle").flags


RENTALS = [
    ("operational_control", True, 0),
    ("operational_control", False, 3),
    ("financial_control", True, 3),
]


@pytest.mark.parametrize(("consolidation", "is_operated", "scope"), RENTALS)
def test_a_rented_vehicle_counts_its_fuel_or_the_shipment_and_never_both(
    consolidation: Any, is_operated: bool, scope: int
) -> None:
    rented = Vehicle(
        vehicle_id="v1",
        ownership="rental",
        vehicle_class="artic_hgv_over_33t",
        operational_control=is_operated,
    )
    inventory = shipped(rented, consolidation=consolidation)
    (line,) = lines_of_leg(leg(vehicle_id="v1"), inventory)
    assert line.assignment.scope == scope
    trip_line = lines_of_trip(trip(fuel_litres="10", fuel_type="diesel"), inventory)[0]
    assert (trip_line.assignment.scope == 1) == (scope == 0)
