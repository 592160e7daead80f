"""Legs that join up or do not, and runs that several consignments share."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest

from carbon_ledger.transport.freight_chains import (
    SharedLoad,
    chain_of,
    lines_of_gap,
    lines_of_shipment,
    shares_of_run,
)
from carbon_ledger.transport.shipment_events import ShipmentEvent
from carbon_ledger.transport.shipments import lines_of_leg
from carbon_ledger.transport.vehicles import lines_of_trip
from carbon_ledger.workings import Term
from tests.support.transport_examples import (
    check_by_hand,
    example_factor,
    leg,
    refusal,
    shipped,
    stated,
    trip,
)


def _chain(*gone: str) -> list[ShipmentEvent]:
    """Road to Hamburg, by sea to New York, road to Chicago; without the legs named."""
    sea = {"mode": "sea", "operation_class": "container_average", "distance_km": "6300"}
    hamburg = {"latitude": "53.55", "longitude": "9.99"}
    new_york = {"latitude": "40.71", "longitude": "-74.01"}
    legs = [
        leg(
            leg_id="1",
            origin="DEBER",
            destination="DEHAM",
            timestamp="2025-03-01",
            **{f"destination_{name}": value for name, value in hamburg.items()},
        ),
        leg(leg_id="2", origin="DEHAM", destination="USNYC", timestamp="2025-03-03", **sea),
        leg(
            leg_id="3",
            origin="USNYC",
            destination="USCHI",
            timestamp="2025-03-20",
            **{f"origin_{name}": value for name, value in new_york.items()},
        ),
    ]
    return [one for one in legs if one.leg_id not in gone]


def test_a_shipment_is_the_sum_of_its_legs_in_any_order() -> None:
    legs = _chain()
    each = [line.kgco2e for one in legs for line in lines_of_leg(one, shipped())]
    for order in permutations(legs):
        lines = lines_of_shipment(order, shipped())
        assert [line.kgco2e for line in lines] == each
        assert chain_of(order).gaps == ()


def test_a_missing_leg_is_found_and_estimated_by_the_great_circle() -> None:
    legs = _chain("2")
    (gap,) = chain_of(legs).gaps
    assert (gap.before.destination, gap.after.origin) == ("DEHAM", "USNYC")
    lines = lines_of_shipment(
        legs, shipped(), missing_mode="sea", missing_class="container_average"
    )
    estimate = lines[-1]
    check_by_hand((estimate,))
    assert {"estimate", "missing_leg_estimated", "distance_estimated"} <= {*estimate.flags}
    assert estimate.assignment.category == 4
    written = "\n".join(estimate.working.written())
    assert "6130.207 km" in written  # between the coordinates, on the sphere


def test_a_missing_leg_is_never_left_out_silently() -> None:
    assert refusal(lambda: lines_of_shipment(_chain("2"), shipped())).code == "leg_missing"


def test_without_coordinates_an_estimate_needs_its_distance_given() -> None:
    legs = [
        leg(leg_id="1", destination="DEHAM", timestamp="2025-03-01"),
        leg(leg_id="2", origin="DEBER", timestamp="2025-03-05"),
    ]
    (gap,) = chain_of(legs).gaps
    refused = refusal(lambda: lines_of_gap(gap, shipped(), mode="road"))
    assert refused.code == "distance_within_country"
    (line,) = lines_of_gap(gap, shipped(), mode="road", great_circle_km=Decimal(410))
    (known,) = lines_of_leg(
        leg(origin="DEHAM", distance_km="410", distance_kind="great_circle"), shipped()
    )
    assert line.kgco2e == known.kgco2e


PLACES = [
    ("DEHAM", "DEHAM", 0),
    ("DE", "DEHAM", 0),
    ("DEHAM", "DE", 0),
    ("DE", "NLRTM", 1),
    ("DEHAM", "DEBRV", 1),
]


@pytest.mark.parametrize(("end", "begin", "gaps"), PLACES)
def test_a_country_stands_for_every_place_in_it(end: str, begin: str, gaps: int) -> None:
    legs = [
        leg(leg_id="1", destination=end, timestamp="2025-03-01"),
        leg(leg_id="2", origin=begin, timestamp="2025-03-05"),
    ]
    assert len(chain_of(legs).gaps) == gaps


def test_a_later_state_of_a_leg_replaces_an_earlier_one_and_a_cancelled_leg_is_none() -> None:
    first, second, third = _chain()
    again = leg(
        leg_id="2", origin="DEHAM", destination="USNYC", status="cancelled", revision=3, mode="sea"
    )
    chain = chain_of([first, second, third, again])
    assert [one.leg_id for one in chain.legs] == ["1", "3"]
    assert len(chain.gaps) == 1


REMARKS: list[tuple[dict[str, Any], str]] = [
    ({"status": "departed"}, "chain_not_delivered"),
    ({"mass_kg": "229"}, "mass_changes_along_chain"),
    ({"origin": "GBLON", "destination": "GBMNC"}, "leg_repeated"),
]


@pytest.mark.parametrize(("changes", "flag"), REMARKS)
def test_what_is_odd_about_a_chain_is_flagged(changes: dict[str, Any], flag: str) -> None:
    legs = [
        leg(leg_id="1", timestamp="2025-03-01"),
        leg(**{"leg_id": "2", "origin": "GBMNC", "timestamp": "2025-03-02", **changes}),
    ]
    assert flag in chain_of(legs).flags


def test_a_missing_leg_of_a_chain_under_way_is_not_counted_yet() -> None:
    legs = [
        leg(leg_id="1", destination="DEHAM", timestamp="2025-03-01"),
        leg(leg_id="2", origin="NLRTM", timestamp="2025-03-05", status="booked"),
    ]
    (gap,) = chain_of(legs).gaps
    (line,) = lines_of_gap(gap, shipped(), mode="road")
    assert line.kgco2e == 0


MIXED: list[tuple[list[ShipmentEvent], str]] = [
    ([leg(), leg(shipment_id="other")], "legs_of_several_shipments"),
    ([leg(), leg(mass_kg="1")], "leg_stated_twice"),
]


@pytest.mark.parametrize(("legs", "code"), MIXED)
def test_legs_that_do_not_belong_together_are_refused(legs: list[ShipmentEvent], code: str) -> None:
    assert refusal(lambda: chain_of(legs)).code == code


# ---- shared vehicles


# Technical Guidance for Calculating Scope 3 Emissions v1.0, example 4.3: a run of 31.5 kg shared by
# tonne-km driven (I) and by great circle (II).
BY_DRIVEN = {"1": "240", "2": "150", "3": "250"}
BY_GREAT_CIRCLE = {"1": "240", "2": "150", "3": "100"}
EXAMPLES = [
    ("P09a", "actual", BY_DRIVEN, "1", "11.812500000000"),
    ("P09b", "actual", BY_DRIVEN, "2", "7.382812500000"),
    ("P09c", "actual", BY_DRIVEN, "3", "12.304687500000"),
    ("P10a", "great_circle", BY_GREAT_CIRCLE, "1", "15.428571428571"),
    ("P10b", "great_circle", BY_GREAT_CIRCLE, "2", "9.642857142857"),
    ("P10c", "great_circle", BY_GREAT_CIRCLE, "3", "6.428571428571"),
]


@pytest.mark.parametrize(("case", "kind", "work", "load", "kg"), EXAMPLES)
def test_a_run_is_shared_by_mass_times_distance(
    case: str, kind: str, work: dict[str, str], load: str, kg: str
) -> None:
    """Printed at one and two decimals: 11.8, 7.4, 12.3 and 15.43, 9.64, 6.43."""
    loads = [
        SharedLoad(load_id=name, mass_kg=Decimal(1000), distance_km=Decimal(km), distance_kind=kind)
        for name, km in work.items()
    ]
    rows = [
        example_factor("fuel", "L", factor, fuel="Diesel (average biofuel blend)", stage=stage)
        for stage, factor in (("combustion", "3.15"), ("wtt", "0"), ("outside_of_scopes", "0"))
    ]
    run = trip(operator="carrier", fuel_type="diesel", fuel_litres="10")
    share = shares_of_run(loads)[load]
    (line,) = lines_of_trip(run, stated(*rows), share.operands)
    check_by_hand((line,))
    assert line.kgco2e == Decimal(kg)
    assert ("allocated_by_driven_distance" in share.flags) == (kind == "actual")


def test_the_shares_of_a_run_are_exactly_the_whole() -> None:
    loads = [
        SharedLoad(
            load_id=str(number),
            mass_kg=Decimal(number),
            distance_km=Decimal("33.3"),
            distance_kind="great_circle",
        )
        for number in (1, 2, 4)
    ]
    shares = [Term(operands=share.operands).exact() for share in shares_of_run(loads).values()]
    assert shares == [Fraction(1, 7), Fraction(2, 7), Fraction(4, 7)]


def test_kinds_of_distance_are_not_mixed_and_nothing_is_not_shared_out() -> None:
    one = SharedLoad(
        load_id="a", mass_kg=Decimal(1), distance_km=Decimal(1), distance_kind="actual"
    )
    other = SharedLoad(
        load_id="b", mass_kg=Decimal(1), distance_km=Decimal(1), distance_kind="great_circle"
    )
    assert refusal(lambda: shares_of_run([one, other])).code == "mixed_distance_kinds"
    nothing = SharedLoad(
        load_id="a", mass_kg=Decimal(0), distance_km=Decimal(1), distance_kind="actual"
    )
    assert refusal(lambda: shares_of_run([nothing])).code == "allocation_without_key"
    assert refusal(lambda: shares_of_run([one, one])).code == "duplicate_output"


def test_a_leg_stated_twice_is_found_in_any_order() -> None:
    events = [leg(), leg(mass_kg="5"), leg(revision=1)]
    for order in permutations(events):
        assert refusal(lambda order=order: chain_of(order)).code == "leg_stated_twice"
