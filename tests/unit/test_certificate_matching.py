"""Certificates and load by the hour, day, month and year: exact, capped, deterministic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.energy.certificate_matching import (
    GRANULARITIES,
    Certificate,
    Granularity,
    Load,
    Matching,
    Supply,
    assign,
    interval_of,
    match_certificates,
)
from carbon_ledger.errors import RejectedRecord

DAY0 = datetime(2025, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def load(hour: int, kwh: str | int, site: str = "a", zone: str = "N") -> Load:
    begin = DAY0 + hour * HOUR
    return Load(
        facility_id=site, zone=zone, occurred_from=begin, occurred_to=begin + HOUR, kwh=Decimal(kwh)
    )


def certificate(
    name: str,
    hour: int,
    kwh: str | int,
    zone: str = "N",
    hours: int = 1,
    sites: tuple[str, ...] = (),
) -> Certificate:
    begin = DAY0 + hour * HOUR
    return Certificate(
        certificate_id=name,
        zone=zone,
        occurred_from=begin,
        occurred_to=begin + hours * HOUR,
        volume_kwh=Decimal(kwh),
        sites=sites,
    )


def matched(found: Matching) -> list[Decimal]:
    return [one.matched_kwh for one in found.loads]


# Sun at noon, load day and night.
LOADS = [load(2, 10), load(12, 10), load(26, 10), load(36, 10)]
SUN = [certificate("d1", 12, 30), certificate("d2", 36, 10)]


@pytest.mark.parametrize(
    ("granularity", "expected", "unused"),
    [
        ("hour", [0, 10, 0, 10], {"d1": 20}),
        ("day", [10, 10, 10, 0], {"d1": 10}),
        ("month", [10, 10, 10, 10], {}),
        ("year", [10, 10, 10, 10], {}),
    ],
)
def test_the_same_certificates_cover_less_by_the_hour(
    granularity: Granularity, expected: list[int], unused: dict[str, int]
) -> None:
    found = match_certificates(LOADS, SUN, granularity)
    assert matched(found) == expected
    assert {one.certificate_id: one.kwh for one in found.unused} == unused
    assert found.matched_share == Fraction(sum(expected), 40)


def test_power_does_not_cross_to_a_zone_it_cannot_reach() -> None:
    loads = [load(0, 10, "a", "N"), load(0, 10, "b", "S")]
    supply = [certificate("c", 0, 50, "N")]
    assert matched(match_certificates(loads, supply, "hour")) == [10, 0]
    reach = {"N": frozenset({"N", "S"})}
    assert matched(match_certificates(loads, supply, "hour", deliverable=reach)) == [10, 10]


def test_what_can_go_to_one_place_alone_does_not_lose_it_to_what_can_go_anywhere() -> None:
    loads = [load(0, 10, "a", "N"), load(0, 10, "b", "S")]
    supply = [certificate("anywhere", 0, 10, "N"), certificate("north", 0, 10, "X")]
    reach = {"N": frozenset({"N", "S"}), "X": frozenset({"N"})}
    found = match_certificates(loads, supply, "hour", deliverable=reach)
    assert matched(found) == [10, 10]
    assert {(one.certificate_id, one.facility_id) for one in found.uses} == {
        ("anywhere", "b"),
        ("north", "a"),
    }


def test_a_certificate_kept_for_a_site_covers_no_other() -> None:
    loads = [load(0, 10, "a"), load(0, 10, "b")]
    found = match_certificates(loads, [certificate("c", 0, 50, sites=("b",))], "hour")
    assert matched(found) == [0, 10]


def test_a_certificate_of_a_month_says_nothing_about_an_hour() -> None:
    month = certificate("m", 0, 100, hours=31 * 24)
    found = match_certificates(LOADS, [month], "hour")
    assert matched(found) == [0, 0, 0, 0]
    assert [(one.kwh, one.reason) for one in found.unused] == [(100, "coarser_than_granularity")]
    assert matched(match_certificates(LOADS, [month], "month")) == [10, 10, 10, 10]


def test_what_was_used_before_is_not_used_again() -> None:
    found = match_certificates(LOADS, SUN, "hour", used_before={"d1": Decimal(25)})
    assert matched(found) == [0, 5, 0, 10]


def test_several_readings_of_an_hour_share_its_certificate_in_order_of_time() -> None:
    quarter = timedelta(minutes=15)
    loads = [
        Load(
            facility_id="a",
            zone="N",
            occurred_from=DAY0 + number * quarter,
            occurred_to=DAY0 + (number + 1) * quarter,
            kwh=Decimal("2.5"),
        )
        for number in (3, 1, 0, 2)
    ]
    found = match_certificates(loads, [certificate("c", 0, 6)], "hour")
    assert matched(found) == [0, Decimal("2.5"), Decimal("2.5"), 1]


TWO_HOURS = Load(
    facility_id="a", zone="N", occurred_from=DAY0, occurred_to=DAY0 + 2 * HOUR, kwh=Decimal(5)
)
REFUSED = [
    (
        [TWO_HOURS],
        [],
        {},
        "load_coarser_than_granularity",
    ),
    (LOADS, [certificate("c", 0, 1), certificate("c", 1, 1)], {}, "certificate_twice"),
    (LOADS, [certificate("c", 0, 5)], {"c": Decimal(6)}, "certificate_overused"),
    ([load(0, -1)], [], {}, "negative_quantity"),
    (LOADS, [certificate("c", 0, "NaN")], {}, "negative_quantity"),
    ([load(0, 1), load(1, 1, "a", "S")], [], {}, "site_in_two_zones"),
]


@pytest.mark.parametrize(("loads", "supply", "before", "code"), REFUSED)
def test_what_cannot_be_matched_is_refused(
    loads: list[Load], supply: list[Certificate], before: dict[str, Decimal], code: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        match_certificates(loads, supply, "hour", used_before=before)
    assert caught.value.code == code


INTERVALS = [
    # moment, granularity, zone, first month, begin, end
    ("2025-05-01T10:40", "hour", "UTC", 1, "2025-05-01T10:00", "2025-05-01T11:00"),
    # India is half an hour off.
    ("2025-05-01T10:40", "hour", "Asia/Kolkata", 1, "2025-05-01T10:30", "2025-05-01T11:30"),
    # The second of the two hours that are both called 02:00.
    ("2025-10-26T01:10", "hour", "Europe/Berlin", 1, "2025-10-26T01:00", "2025-10-26T02:00"),
    # Days of 23 and 25 hours.
    ("2025-03-30T12:00", "day", "Europe/Berlin", 1, "2025-03-29T23:00", "2025-03-30T22:00"),
    ("2025-10-26T12:00", "day", "Europe/Berlin", 1, "2025-10-25T22:00", "2025-10-26T23:00"),
    ("2025-01-31T23:30", "month", "Europe/Berlin", 1, "2025-01-31T23:00", "2025-02-28T23:00"),
    # Havana puts its clocks back at 01:00, so that day's midnight is there twice: the first counts.
    ("2025-11-02T12:00", "day", "America/Havana", 1, "2025-11-02T04:00", "2025-11-03T05:00"),
    ("2025-11-02T05:30", "day", "America/Havana", 1, "2025-11-02T04:00", "2025-11-03T05:00"),
    ("2025-03-31T12:00", "year", "UTC", 4, "2024-04-01T00:00", "2025-04-01T00:00"),
    ("2025-04-01T00:00", "year", "UTC", 4, "2025-04-01T00:00", "2026-04-01T00:00"),
]


@pytest.mark.parametrize(("moment", "granularity", "zone", "first", "begin", "end"), INTERVALS)
def test_an_interval_is_one_of_the_local_calendar(
    moment: str, granularity: Granularity, zone: str, first: int, begin: str, end: str
) -> None:
    for late in (timedelta(), timedelta(seconds=59, microseconds=999_999)):
        found = interval_of(
            datetime.fromisoformat(moment).replace(tzinfo=UTC) + late, granularity, zone, first
        )
        assert [one.replace(tzinfo=None).isoformat() for one in found] == [
            f"{begin}:00",
            f"{end}:00",
        ]


SITES = st.sampled_from([("a", "N"), ("b", "N"), ("c", "S")])
LOAD_LISTS = st.lists(
    st.builds(
        lambda hour, kwh, site: load(hour, Decimal(kwh).scaleb(-1), *site),
        st.integers(0, 72),
        st.integers(0, 300),
        SITES,
    ),
    max_size=12,
)
CERTIFICATES = st.lists(
    st.builds(
        lambda hour, kwh, zone, sites: (hour, Decimal(kwh).scaleb(-1), zone, sites),
        st.integers(0, 72),
        st.integers(0, 500),
        st.sampled_from(["N", "S", "X"]),
        st.sampled_from([(), (), ("a",), ("b", "c")]),
    ),
    max_size=8,
)
REACH = {"N": frozenset({"N"}), "S": frozenset({"N", "S"})}


@given(LOAD_LISTS, CERTIFICATES)
@settings(max_examples=120, deadline=None)
def test_matched_and_unmatched_are_the_load_and_no_certificate_is_exceeded(
    loads: list[Load], drawn: list[tuple[int, Decimal, str, tuple[str, ...]]]
) -> None:
    supply = [
        certificate(f"c{number}", hour, str(kwh), zone, sites=sites)
        for number, (hour, kwh, zone, sites) in enumerate(drawn)
    ]
    volumes = {one.certificate_id: one.volume_kwh for one in supply}
    totals = []
    for granularity in GRANULARITIES:
        found = match_certificates(loads, supply, granularity, deliverable=REACH)
        assert [one.load for one in found.loads] == loads
        for one in found.loads:
            assert one.matched_kwh + one.unmatched_kwh == one.load.kwh
            assert one.matched_kwh >= 0
            assert one.unmatched_kwh >= 0
        used = dict.fromkeys(volumes, Decimal(0))
        for use in found.uses:
            used[use.certificate_id] += use.kwh
        left = {one.certificate_id: one.kwh for one in found.unused}
        assert all(used[name] + left.get(name, 0) == volumes[name] for name in volumes)
        assert sum(used.values()) == found.matched_kwh
        assert match_certificates(loads, supply[::-1], granularity, deliverable=REACH) == found
        totals.append(found.matched_kwh)
    # Coarser first: a finer granularity can only forbid.
    assert all(coarse >= fine for coarse, fine in pairwise(totals))


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(0, 9), st.frozensets(st.integers(0, 3), max_size=4)), max_size=5
    ),
)
@settings(max_examples=120, deadline=None)
def test_as_much_is_assigned_as_can_be(
    demand: list[int], supplies: list[tuple[int, frozenset[int]]]
) -> None:
    wanted = {str(number): Decimal(kwh) for number, kwh in enumerate(demand)}
    offers = [
        Supply(
            supply_id=f"s{number}",
            volume_kwh=Decimal(kwh),
            eligible=frozenset(map(str, to)),
        )
        for number, (kwh, to) in enumerate(supplies)
    ]
    found = assign(wanted, offers)
    # Maximum flow is minimum cut: over every set of demands, what it wants and what the rest
    # of the supplies, those that reach a demand outside of it, could give.
    cuts = []
    for mask in range(2 ** len(demand)):
        inside = {str(n) for n in range(len(demand)) if mask >> n & 1}
        wants = sum(wanted[name] for name in inside)
        gives = sum(
            one.volume_kwh
            for one in offers
            if one.eligible is not None and (one.eligible & set(wanted)) - inside
        )
        cuts.append(wants + gives)
    assert sum(found.values(), Decimal(0)) == min(cuts)
