"""Completeness: what is there is never called missing, what is missing never goes unseen."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.completeness import (
    NOTHING,
    Found,
    SourceMonth,
    Span,
    control_gap,
    judged,
    merged,
    midnight,
    months_of,
    source_month,
)
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.reference.fields import Record, build

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
MARCH, APRIL = date(2025, 3, 1), date(2025, 4, 1)
LATER = datetime(2026, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def meter(**changes: Any) -> ExpectedSource:
    given_values = {
        "stream": "iot_energy",
        "source_id": "M-1",
        "every": "interval",
        "interval_seconds": 900,
        **changes,
    }
    return ExpectedSource(**given_values)


def supplier(**changes: Any) -> ExpectedSource:
    return ExpectedSource(**{"stream": "supplier", "source_id": "S-1", "every": "month", **changes})


def march(source: ExpectedSource, spans: list[Span], zone: ZoneInfo = UTC_ZONE) -> SourceMonth:
    return source_month(source, MARCH, APRIL, spans, zone, LATER)


def slots(zone: ZoneInfo = UTC_ZONE) -> list[Span]:
    begin, end = midnight(MARCH, zone), midnight(APRIL, zone)
    count = (end - begin) // QUARTER
    return [(begin + n * QUARTER, begin + (n + 1) * QUARTER) for n in range(count)]


@pytest.mark.parametrize(("zone", "count"), [(UTC_ZONE, 2976), (BERLIN, 2972)])
def test_a_month_has_the_intervals_of_its_own_calendar(zone: ZoneInfo, count: int) -> None:
    found = march(meter(), slots(zone), zone)
    assert (found.expected, found.present, found.missing) == (count, count, ())
    assert found.month == MARCH


def test_a_part_of_a_month_is_of_its_month() -> None:
    found = source_month(meter(), date(2025, 3, 10), APRIL, slots(), UTC_ZONE, LATER)
    assert (found.month, found.expected) == (MARCH, 22 * 96)


@pytest.mark.parametrize(("count", "shown"), [(5, "s-0, s-1, s-2, s-3, s-4"), (6, "s-4 …")])
def test_a_lost_file_names_five_of_its_sources_and_says_that_there_are_more(
    count: int, shown: str
) -> None:
    lost = [march(supplier(source_id=f"s-{n}", arrives_in="drop"), []) for n in range(count)]
    (gap,) = judged(lost, [], {}).gaps
    assert shown in gap.message
    assert ("…" in gap.message) == (count > 5)
    assert "s-5" not in gap.message


@given(st.sets(st.integers(0, 2971), max_size=40), st.integers(0, 2900))
def test_exactly_the_intervals_left_out_are_missing(left_out: set[int], turn: int) -> None:
    there = [span for n, span in enumerate(slots(BERLIN)) if n not in left_out]
    # Order, repetition and overlap of what is there make no difference.
    there = [*there[turn:], *there[: turn + 3]][::-1]
    found = march(meter(), there, BERLIN)
    begin = midnight(MARCH, BERLIN)
    named = {
        n
        for run in found.missing
        for n in range((run.begin - begin) // QUARTER, (run.end - begin) // QUARTER)
    }
    assert named == left_out
    assert found.expected - found.present == len(left_out)
    assert sum(run.slots for run in found.missing) == len(left_out)
    assert all(one.end < two.begin for one, two in pairwise(found.missing))


@given(st.integers(1, 899))
def test_an_interval_that_is_covered_in_part_is_missing(seconds: int) -> None:
    there = slots()
    begin, end = there[100]
    there[100] = (begin, begin + timedelta(seconds=seconds))
    assert [run.slots for run in march(meter(), there).missing] == [1]
    # Two halves of an interval are the whole of it.
    there.append((begin + timedelta(seconds=seconds), end))
    assert march(meter(), there).missing == ()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=20))
def test_merged_spans_are_the_same_minutes(pairs: list[tuple[int, int]]) -> None:
    zero = datetime(2025, 3, 1, tzinfo=UTC)
    spans = [(zero + timedelta(minutes=a), zero + timedelta(minutes=b)) for a, b in pairs]
    found = merged(spans)
    assert all(one[1] < two[0] for one, two in pairwise(found))

    def minutes(listed: list[Span]) -> set[int]:
        return {
            n
            for begin, end in listed
            for n in range(
                (begin - zero) // timedelta(minutes=1), (end - zero) // timedelta(minutes=1)
            )
        }

    assert minutes(found) == minutes(spans)


@given(st.sets(st.integers(1, 31)))
def test_a_vehicle_is_missed_on_the_days_it_says_nothing(days: set[int]) -> None:
    source = ExpectedSource(stream="transport", source_id="V-1", every="day")
    trips = [
        (datetime(2025, 3, n, 12, tzinfo=UTC), datetime(2025, 3, n, 13, tzinfo=UTC)) for n in days
    ]
    found = march(source, trips)
    assert (found.expected, found.present) == (31, len(days))
    named = {run.begin.day + n for run in found.missing for n in range(run.slots)}
    assert named == set(range(1, 32)) - days


def test_a_declaration_of_a_quarter_is_one_of_each_of_its_months() -> None:
    quarter = [(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))]
    assert march(supplier(), quarter).present == 1
    found = source_month(supplier(), APRIL, date(2025, 5, 1), quarter, UTC_ZONE, LATER)
    assert (found.expected, found.present) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "as_of", "expected"),
    [
        ({}, datetime(2025, 3, 31, 23, 59, tzinfo=UTC), 0),
        ({}, datetime(2025, 4, 1, tzinfo=UTC), 1),
        ({"grace_days": 30}, datetime(2025, 4, 30, tzinfo=UTC), 0),
        ({"grace_days": 30}, datetime(2025, 5, 1, tzinfo=UTC), 1),
        ({"valid_from": date(2025, 4, 1)}, LATER, 0),
        ({"valid_to": date(2025, 3, 1)}, LATER, 0),
        ({"valid_from": date(2025, 3, 15)}, LATER, 1),
    ],
)
def test_what_is_not_due_or_not_in_force_is_not_expected(
    changes: dict[str, Any], as_of: datetime, expected: int
) -> None:
    found = source_month(supplier(**changes), MARCH, APRIL, [], UTC_ZONE, as_of)
    assert found.expected == len(found.missing) == expected


@pytest.mark.parametrize("validity", [{"valid_from": APRIL}, {"valid_to": MARCH}])
def test_no_interval_is_expected_outside_a_source_s_validity(validity: dict[str, date]) -> None:
    found = march(meter(**validity), [])
    assert (found.expected, found.present, found.missing) == (0, 0, ())


def test_intervals_of_a_day_under_way_are_expected_up_to_now() -> None:
    now = datetime(2025, 3, 1, 1, 7, tzinfo=UTC)
    found = source_month(meter(), MARCH, APRIL, [], UTC_ZONE, now)
    assert found.expected == 4


def test_each_gap_is_named_by_its_kind() -> None:
    hole = slots()[:96] + slots()[192:]
    months = [
        march(meter(source_id="whole"), slots()),
        march(meter(source_id="silent"), []),
        march(meter(source_id="holed"), hole),
        march(supplier(source_id="late"), []),
        march(supplier(source_id="f-1", arrives_in="drop-1"), []),
        march(supplier(source_id="f-2", arrives_in="drop-1"), []),
        march(supplier(source_id="g-1", arrives_in="drop-2"), []),
        march(supplier(source_id="g-2", arrives_in="drop-2"), slots()[:1]),
    ]
    found = judged(months, [], {})
    assert {(one.kind, one.subject, one.missing) for one in found.gaps} == {
        ("silent_source", "silent", 2976),
        ("missing_slots", "holed", 96),
        ("missing_month", "late", 1),
        ("lost_file", "drop-1", 2),
        # Its file came: the other source of it is there.
        ("missing_month", "g-1", 1),
    }
    (holed,) = [one for one in found.gaps if one.subject == "holed"]
    assert (holed.begin.day, holed.end.day) == (2, 3)
    assert "2025-03-02T00:00Z" in holed.message
    assert (found.expected, found.present) == (3 * 2976 + 5, 2 * 2976 - 96 + 1)
    assert found.coverage_pct == Decimal("65.56")


def test_coverage_is_never_rounded_up_to_complete() -> None:
    nearly = [march(meter(), slots())] * 40 + [march(meter(), slots()[1:])]
    found = judged(nearly, [], {})
    assert found.coverage_pct == Decimal("99.99")
    assert not found.is_complete
    assert judged([], [], {}).coverage_pct is None


# ---- control totals


def invoice(**changes: Any) -> ControlTotal:
    return ControlTotal(
        **{
            "control_id": "INV-1",
            "kind": "invoice",
            "stream": "iot_energy",
            "source_id": "M-1",
            "quantity": "1000",
            "unit": "kWh",
            "tolerance_pct": "1",
            "valid_from": MARCH,
            "valid_to": APRIL,
            **changes,
        }
    )


def sums(**by_unit: str) -> Found:
    return Found(
        sums={unit: Decimal(value) for unit, value in by_unit.items()},
        activities=dict.fromkeys(by_unit, 5),
    )


@pytest.mark.parametrize(
    ("found", "changes", "difference"),
    [
        (sums(kWh="1000"), {}, None),
        (sums(kWh="1010"), {}, None),
        (sums(kWh="990"), {}, None),
        (sums(kWh="1010.000000000001"), {}, "10.000000000001"),
        (sums(kWh="989"), {}, "-11"),
        (sums(MWh="1"), {}, None),
        (sums(kWh="500", MWh="0.6"), {}, "100"),
        (sums(kWh="1019"), {"tolerance_quantity": "20"}, None),
        (NOTHING, {}, "-1000"),
        (NOTHING, {"quantity": "0"}, None),
        (sums(kWh="-995"), {"quantity": "-1000"}, None),
    ],
)
def test_a_control_total_differs_beyond_its_tolerance(
    found: Found, changes: dict[str, Any], difference: str | None
) -> None:
    gap = control_gap(invoice(**changes), found, UTC_ZONE)
    assert (None if gap is None else gap.difference) == (
        None if difference is None else Decimal(difference)
    )


def test_both_numbers_and_the_difference_are_told() -> None:
    gap = control_gap(invoice(), sums(kWh="888.5"), BERLIN)
    assert gap is not None
    assert (gap.kind, gap.stated, gap.found, gap.difference, gap.unit) == (
        "control_differs",
        Decimal(1000),
        Decimal("888.5"),
        Decimal("-111.5"),
        "kWh",
    )
    for number in ("1000 kWh", "888.5 kWh", "-111.5 kWh", "M-1", "INV-1"):
        assert number in gap.message
    assert gap.begin == midnight(MARCH, BERLIN)


def test_money_of_another_currency_is_said_and_not_added() -> None:
    ledger = invoice(kind="gl_spend", stream="procurement", unit="EUR")
    gap = control_gap(ledger, sums(USD="1000", kg="4"), UTC_ZONE)
    assert gap is not None
    assert gap.kind == "control_not_comparable"
    assert "5 activities in USD" in gap.message
    assert "5 activities in kg" in gap.message


def test_months_of_a_period_are_its_parts() -> None:
    assert months_of(date(2025, 11, 15), date(2026, 2, 1)) == [
        (date(2025, 11, 15), date(2025, 12, 1)),
        (date(2025, 12, 1), date(2026, 1, 1)),
        (date(2026, 1, 1), date(2026, 2, 1)),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    [
        (ExpectedSource, {"every": "interval"}, "interval_incomplete"),
        (ExpectedSource, {"every": "day", "interval_seconds": "900"}, "interval_incomplete"),
        (
            ExpectedSource,
            {"every": "interval", "interval_seconds": "7000"},
            "interval_does_not_divide_the_day",
        ),
        (
            ExpectedSource,
            {"every": "interval", "interval_seconds": "0"},
            "interval_does_not_divide_the_day",
        ),
        (ExpectedSource, {"every": "interval", "interval_seconds": "1.5"}, "not_a_whole_number"),
        (ExpectedSource, {"every": "day", "grace_days": "367"}, "not_a_whole_number"),
        (ExpectedSource, {"every": "year"}, "unknown_choice"),
        (ControlTotal, {"tolerance_pct": "101", "valid_to": "2025-04-01"}, "out_of_range"),
        (ControlTotal, {}, "period_without_end"),
        (ControlTotal, {"quantity": "NaN", "valid_to": "2025-04-01"}, "not_finite"),
    ],
)
def test_what_is_expected_is_checked_as_other_reference_data(
    kind: type[Record], values: dict[str, str], code: str
) -> None:
    base: dict[str, str] = {"stream": "iot_energy", "source_id": "M-1", "valid_from": "2025-03-01"}
    if kind is ControlTotal:
        base |= {"control_id": "C", "kind": "invoice", "quantity": "1", "unit": "kWh"}
    record, faults = build(kind, {**base, **values})
    assert record is None
    assert [fault.code for fault in faults] == [code]
    assert faults[0].field in {field.name for field in fields(kind)}
