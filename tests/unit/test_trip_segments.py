"""Segments that overlap, and fuel that no trip accounts for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.transport.trip_segments import (
    FuelPeriod,
    counted_segments,
    lines_of_segments,
    reconcile_fuel,
)
from carbon_ledger.transport.vehicles import lines_of_trip
from tests.support.transport_examples import check_by_hand, refusal, shipped, trip


def _segment(number: int, start: int | None, end: int | None, **changes: Any) -> Any:
    odometers = {"odometer_start_km": start, "odometer_end_km": end}
    plain = {"segment": number, "fuel_type": "diesel", "fuel_litres": "10"}
    return trip(**{**plain, **odometers, **changes})


SHARES = [
    ("apart", [(0, 100), (100, 200)], ["1", "1"]),
    ("half of the second again", [(0, 100), (50, 150)], ["1", "1/2"]),
    ("the second within the first", [(0, 100), (20, 60)], ["1", "0"]),
    ("the first within the second", [(20, 60), (0, 100)], ["1", "3/5"]),
    ("a third bridges two", [(0, 100), (200, 300), (50, 250)], ["1", "1", "1/2"]),
    ("the same twice", [(0, 100), (0, 100), (0, 100)], ["1", "0", "0"]),
    ("one that goes nowhere", [(0, 100), (50, 50)], ["1", "1"]),
]


@pytest.mark.parametrize(("_name", "intervals", "shares"), SHARES)
def test_each_kilometre_of_the_odometer_counts_once(
    _name: str, intervals: list[tuple[int, int]], shares: list[str]
) -> None:
    segments = [
        _segment(number, start, end) for number, (start, end) in enumerate(intervals, start=1)
    ]
    for order in permutations(segments):
        counted = counted_segments(order)
        assert [one.exact_share for one in counted] == [Fraction(share) for share in shares]


def test_the_share_is_an_operand_of_every_line_of_a_segment() -> None:
    segments = [_segment(1, 0, 100), _segment(2, 50, 150)]
    lines = lines_of_segments(segments, shipped())
    whole = lines_of_trip(segments[0], shipped())
    check_by_hand(lines)
    assert [line.kgco2e for line in lines[2:]] == [line.kgco2e / 2 for line in whole]
    assert all("segments_overlap" in line.flags for line in lines[2:])


def test_a_trip_reported_whole_covers_its_segments() -> None:
    segments = [_segment(0, None, None), _segment(1, 0, 100), _segment(2, None, None)]
    counted = counted_segments(segments)
    assert [one.exact_share for one in counted] == [1, 0, 0]
    assert counted[1].flags == {"covered_by_whole_trip"}


def test_without_odometers_nothing_is_taken_off_and_that_is_flagged() -> None:
    counted = counted_segments([_segment(1, None, None), _segment(2, 0, 10)])
    assert [one.exact_share for one in counted] == [1, 1]
    assert counted[0].flags == {"odometer_missing"}
    assert counted_segments([_segment(1, None, None)])[0].flags == frozenset()


def test_the_highest_revision_of_a_segment_is_the_one_that_counts() -> None:
    first, later = _segment(1, 0, 100), _segment(1, 0, 120, revision=1)
    for order in permutations([first, later, first]):
        (one,) = counted_segments(order)
        assert one.event is later


REFUSED = [
    ([_segment(1, 0, 10), _segment(1, 0, 11)], "segment_stated_twice"),
    ([_segment(1, 0, 10), _segment(2, 10, 20, trip_id="other")], "segments_of_several_trips"),
    ([_segment(1, 0, 10), _segment(2, 10, 20, vehicle_id="other")], "segments_of_several_trips"),
]


@pytest.mark.parametrize(("segments", "code"), REFUSED)
def test_segments_that_do_not_belong_together_are_refused(segments: list[Any], code: str) -> None:
    assert refusal(lambda: counted_segments(segments)).code == code


def test_no_segment_is_no_line() -> None:
    assert counted_segments([]) == ()


INTERVALS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: tuple(sorted(pair))),
    min_size=1,
    max_size=6,
)


@given(intervals=INTERVALS, seed=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_what_counts_is_exactly_the_kilometres_driven(intervals: Any, seed: Any) -> None:
    segments = [
        _segment(number, start, end) for number, (start, end) in enumerate(intervals, start=1)
    ]
    driven = {km for start, end in intervals for km in range(start, end)}
    shuffled = list(segments)
    seed.shuffle(shuffled)
    counted = counted_segments(shuffled)
    lengths = [end - start for start, end in intervals]
    km = sum((one.exact_share * lengths[one.event.segment - 1] for one in counted), Fraction(0))
    assert km == len(driven)
    assert all(0 <= one.exact_share <= 1 for one in counted)


# ---- fuel cards


def _period(card: str, telematics: str, **changes: Any) -> FuelPeriod:
    period = FuelPeriod(
        vehicle_id="v1",
        country_iso2="GB",
        vehicle_class="artic_hgv_over_33t",
        fuel_type="diesel",
        card_litres=Decimal(card),
        telematics_litres=Decimal(telematics),
        period_from=datetime(2025, 3, 1, tzinfo=UTC),
        interval_seconds=31 * 24 * 3600,
    )
    return replace(period, **changes)


def test_fuel_bought_that_no_trip_shows_is_an_estimate_of_its_own() -> None:
    found = reconcile_fuel(_period("1000", "940"), shipped())
    expected = lines_of_trip(trip(fuel_type="diesel", fuel_litres="60"), shipped())
    assert found.difference_litres == 60
    assert [line.kgco2e for line in found.lines] == [line.kgco2e for line in expected]
    assert [line.gases for line in found.lines] == [line.gases for line in expected]
    check_by_hand(found.lines)
    for line in found.lines:
        assert {"estimate", "unallocated_fuel"} <= {*line.flags}
        assert line.activity_type == "unallocated_fuel:diesel_blend"
        assert line.quantity == 60
    assert "1000 L" in "\n".join(found.lines[0].working.written())
    assert "940 L" in "\n".join(found.lines[0].working.written())


@pytest.mark.parametrize(
    ("card", "telematics", "flags"),
    [("900", "940", {"telematics_exceeds_card"}), ("940", "940", set())],
)
def test_nothing_is_taken_off_where_telematics_saw_as_much_or_more(
    card: str, telematics: str, flags: set[str]
) -> None:
    found = reconcile_fuel(_period(card, telematics), shipped())
    assert found.lines == ()
    assert found.flags == flags


def test_a_period_of_negative_litres_is_refused() -> None:
    with pytest.raises(RejectedRecord, match="negative"):
        reconcile_fuel(_period("10", "-1"), shipped())


def test_a_segment_stated_twice_is_found_in_any_order() -> None:
    events = [_segment(1, 0, 10), _segment(1, 0, 20), _segment(1, 0, 30, revision=1)]
    for order in permutations(events):
        assert refusal(lambda order=order: counted_segments(order)).code == "segment_stated_twice"
