"""Great circles: known distances, laws of a metric, agreement with binary trigonometry."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.transport.great_circle import EARTH_RADIUS_KM, great_circle_km

QUARTER = "10007.557"  # pi / 2 x 6371.0088
KNOWN = [
    (("0", "0", "0", "0"), "0.000"),
    (("0", "0", "0", "90"), QUARTER),
    (("0", "0", "90", "0"), QUARTER),
    (("0", "0", "0", "180"), "20015.114"),
    (("90", "17", "-90", "-120"), "20015.114"),
    (("12.5", "180", "12.5", "-180"), "0.000"),
    (("52.5", "13.4", "52.5", "13.4"), "0.000"),
]


@pytest.mark.parametrize(("places", "km"), KNOWN)
def test_distances_that_follow_from_the_radius_alone(places: tuple[str, ...], km: str) -> None:
    assert great_circle_km(*map(Decimal, places)) == Decimal(km)


DEGREES = [st.decimals(-90, 90, places=4), st.decimals(-180, 180, places=4)]


@given(st.tuples(*DEGREES), st.tuples(*DEGREES))
@settings(max_examples=100, deadline=None)
def test_it_agrees_with_binary_trigonometry_and_is_symmetric(one: tuple, other: tuple) -> None:
    km = great_circle_km(*one, *other)
    assert km == great_circle_km(*other, *one)
    north, east, to_north, to_east = (math.radians(float(value)) for value in (*one, *other))
    haversine = (
        math.sin((to_north - north) / 2) ** 2
        + math.cos(north) * math.cos(to_north) * math.sin((to_east - east) / 2) ** 2
    )
    expected = 2 * float(EARTH_RADIUS_KM) * math.asin(min(1.0, math.sqrt(haversine)))
    assert abs(float(km) - expected) < 0.2
    assert 0 <= km <= Decimal("20015.115")
