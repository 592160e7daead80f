"""Series of one meter: spans, gaps, estimates, and their replacement by data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.energy.meter_registers import Reset
from carbon_ledger.energy.meter_series import (
    Estimate,
    Gap,
    MeterSpec,
    RegisterReading,
    Span,
    estimates_of,
    gaps_of,
    line_of_estimate,
    settle,
    spans_of_register,
    split_by_time,
)
from carbon_ledger.energy.meters import lines_of_meter_reading
from carbon_ledger.errors import RejectedRecord
from tests.support.meter_examples import GAS, assert_written, reading, shipped

DAY0 = datetime(2025, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPEC = MeterSpec(meter_id="M1", register_size=Decimal(1000))


def at(hours: int, value: str, reset: Reset | None = None) -> RegisterReading:
    return RegisterReading(at=DAY0 + hours * HOUR, value=Decimal(value), reset=reset)


def hourly(begin: int, *kwh: int) -> list[Span]:
    return [
        Span(
            occurred_from=DAY0 + (begin + number) * HOUR,
            occurred_to=DAY0 + (begin + number + 1) * HOUR,
            quantity=Decimal(amount),
        )
        for number, amount in enumerate(kwh)
    ]


def gap(begin: float, end: float) -> Gap:
    return Gap(occurred_from=DAY0 + timedelta(hours=begin), occurred_to=DAY0 + timedelta(hours=end))


def test_a_register_s_spans_add_up_over_rollover_reset_and_missed_readings() -> None:
    readings = [
        at(0, "950"),
        at(1, "990"),
        at(2, "30"),
        at(3, "20", Reset(marker="meter_replaced", final=Decimal(45), start=Decimal(0))),
        at(6, "80"),
    ]
    spans, gaps = spans_of_register(reversed(readings), SPEC)
    assert [span.quantity for span in spans] == [40, 40, 35, 60]
    assert [span.flags for span in spans] == [
        (),
        ("register_rollover",),
        ("register_reset",),
        ("reading_missing",),
    ]
    assert gaps == ()


def test_what_was_counted_before_a_reset_that_nobody_read_is_a_gap() -> None:
    readings = [at(0, "100"), at(1, "120"), at(2, "7", Reset(marker="x", final=None)), at(3, "9")]
    spans, gaps = spans_of_register(readings, SPEC)
    assert [span.quantity for span in spans] == [20, 2]
    assert gaps == (gap(1, 2),)
    assert gaps_of(spans, DAY0, DAY0 + 3 * HOUR) == gaps


REFUSED = [
    ([at(0, "5"), at(0, "5")], SPEC, "reading_twice"),
    ([at(0, "500"), at(1, "400")], SPEC, "register_backward"),
    ([at(0, "5"), at(1, "1000")], SPEC, "register_out_of_range"),
    (
        [at(0, "5"), at(1, "90")],
        MeterSpec(meter_id="M1", most_per_hour=Decimal(80)),
        "consumption_implausible",
    ),
]


@pytest.mark.parametrize(("readings", "spec", "code"), REFUSED)
def test_a_series_that_cannot_be_is_refused(
    readings: list[RegisterReading], spec: MeterSpec, code: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        spans_of_register(readings, spec)
    assert caught.value.code == code


def test_the_most_of_an_hour_is_as_often_allowed_as_there_are_hours() -> None:
    spec = MeterSpec(meter_id="M1", most_per_hour=Decimal(80))
    (span,), _ = spans_of_register([at(0, "0"), at(3, "240")], spec)
    assert span.quantity == 240
    with pytest.raises(RejectedRecord) as caught:
        spans_of_register([at(0, "0"), at(3, "240.001")], spec)
    assert caught.value.code == "consumption_implausible"


@pytest.mark.parametrize(
    ("readings", "field"),
    [
        ([at(0, "1000"), at(1, "5")], "register_start"),
        ([at(0, "5"), at(1, "1000")], "register_end"),
    ],
)
def test_a_reading_that_the_register_never_shows_is_named(
    readings: list[RegisterReading], field: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        spans_of_register(readings, SPEC)
    assert (caught.value.code, caught.value.field) == ("register_out_of_range", field)
    assert caught.value.value == "1000"


def test_gaps_are_what_no_span_covers() -> None:
    spans = [*hourly(2, 5, 5), *hourly(6, 5)]
    assert gaps_of(spans, DAY0, DAY0 + 8 * HOUR) == (gap(0, 2), gap(4, 6), gap(7, 8))
    assert gaps_of(spans, DAY0 + 2 * HOUR, DAY0 + 4 * HOUR) == ()
    assert gaps_of([], DAY0, DAY0 + HOUR) == (gap(0, 1),)


def test_readings_that_overlap_are_refused() -> None:
    with pytest.raises(RejectedRecord) as caught:
        gaps_of([*hourly(0, 5), *hourly(0, 6)], DAY0, DAY0 + HOUR)
    assert caught.value.code == "readings_overlap"


def test_a_gap_is_estimated_from_the_same_local_hours() -> None:
    # Berlin in May is two hours ahead: 08:00 UTC is the local hour 10.
    spec = MeterSpec(meter_id="M1", time_zone="Europe/Berlin")
    spans = [*hourly(8, 10, 99), *hourly(24 + 8, 14, 99)]
    found = estimates_of(gap(48 + 8, 48 + 8.5), spans, spec)
    assert [(one.exact, one.local_hour, one.days) for one in found] == [(6, 10, 2)]


def test_an_estimate_s_line_says_so_and_can_be_recomputed() -> None:
    spans = [*hourly(10, 10), *hourly(34, 11), *hourly(58, 12)]
    (estimate,) = estimates_of(gap(82, 82.25), spans, SPEC)
    line = line_of_estimate(estimate, reading(), SPEC, shipped(gwp_set="AR5"))
    assert "estimated" in line.flags
    assert line.method == "estimated"
    assert line.primary_share == 0  # what was not read is no primary data
    assert line.kgco2e == Decimal("0.48675")  # 0.25 h x 33 kWh / 3 h x 0.177
    assert_written(line)
    assert (line.occurred_from, line.occurred_to) == (
        estimate.occurred_from,
        estimate.occurred_to,
    )


def test_an_hour_that_was_never_read_is_not_made_up() -> None:
    day = Span(occurred_from=DAY0, occurred_to=DAY0 + 24 * HOUR, quantity=Decimal(9))
    two_hours = Span(
        occurred_from=DAY0 + 10 * HOUR, occurred_to=DAY0 + 12 * HOUR, quantity=Decimal(9)
    )
    for spans in ([], hourly(0, 5), [day], [two_hours]):
        with pytest.raises(RejectedRecord) as caught:
            estimates_of(gap(34, 35), spans, SPEC)
        assert caught.value.code == "no_profile"


def test_only_the_weeks_around_a_gap_count() -> None:
    old = hourly(-40 * 24, 500)
    (found,) = estimates_of(gap(48, 49), [*old, *hourly(0, 5)], SPEC)
    assert found.exact == 5


def test_the_hour_that_is_there_twice_has_its_two_halves_in_one_local_hour() -> None:
    spec = MeterSpec(meter_id="M1", time_zone="Europe/Berlin")
    # 26 October 2025: 02:00 local is at 00:00 and again at 01:00 UTC.
    autumn = datetime(2025, 10, 26, tzinfo=UTC)
    spans = [
        Span(
            occurred_from=autumn - timedelta(days=2),
            occurred_to=autumn - timedelta(days=2) + HOUR,
            quantity=Decimal(8),
        )
    ]
    found = estimates_of(Gap(occurred_from=autumn, occurred_to=autumn + 2 * HOUR), spans, spec)
    assert [one.local_hour for one in found] == [2, 2]
    assert sum(one.exact for one in found) == 16


# ---- replacement


def test_an_estimate_is_taken_back_when_its_data_come() -> None:
    before = [*hourly(0, 10, 20, 30), *hourly(24, 11)]
    end = DAY0 + 27 * HOUR
    first = settle((), before, DAY0 + 24 * HOUR, end, SPEC)
    assert [one.exact for one in first.post] == [20, 30]
    again = settle(first.post, before, DAY0 + 24 * HOUR, end, SPEC)
    assert (again.keep, again.reverse, again.post) == (first.post, (), ())
    late = [*before, *hourly(25, 21)]
    later = settle(first.post, late, DAY0 + 24 * HOUR, end, SPEC)
    assert (later.reverse, later.keep, later.post) == (first.post[:1], first.post[1:], ())


def test_the_rest_of_a_partly_read_hour_is_estimated_anew() -> None:
    before = hourly(0, 60)
    first = settle((), before, DAY0 + 24 * HOUR, DAY0 + 25 * HOUR, SPEC)
    half = Span(
        occurred_from=DAY0 + 24 * HOUR,
        occurred_to=DAY0 + timedelta(hours=24.5),
        quantity=Decimal(40),
    )
    later = settle(first.post, [*before, half], DAY0 + 24 * HOUR, DAY0 + 25 * HOUR, SPEC)
    assert later.reverse == first.post
    (rest,) = later.post
    assert rest.occurred_from == half.occurred_to
    # 60 + 40 kWh were read in 1.5 h of that local hour.
    assert rest.exact == Fraction(1, 2) * 100 / Fraction(3, 2)


@given(st.lists(st.booleans(), min_size=24, max_size=24), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_data_and_standing_estimates_cover_a_period_exactly_once(
    arrived: list[bool], dice: object
) -> None:
    profile = hourly(-24, *range(1, 25))
    hours = hourly(0, *range(1, 25))
    spans: list[Span] = [*profile]
    standing: tuple[Estimate, ...] = ()
    for number, is_there in enumerate(arrived):
        if is_there:
            spans.append(hours[number])
        found = settle(standing, spans, DAY0, DAY0 + 24 * HOUR, SPEC)
        assert not set(found.keep) & set(found.reverse)
        standing = (*found.keep, *found.post)
        covered = sorted(
            [
                (one.occurred_from, one.occurred_to)
                for one in (*spans, *standing)
                if one.occurred_from >= DAY0
            ]
        )
        assert covered[0][0] == DAY0
        assert covered[-1][1] == DAY0 + 24 * HOUR
        assert all(a[1] == b[0] for a, b in pairwise(covered))


# ---- cut-off


@given(
    st.decimals(min_value=0, max_value=10**9, places=6),
    st.lists(st.integers(1, 99), min_size=1, max_size=5),
)
@settings(max_examples=60)
def test_the_parts_of_a_span_are_the_whole(quantity: Decimal, cuts: list[int]) -> None:
    span = Span(occurred_from=DAY0, occurred_to=DAY0 + 100 * HOUR, quantity=quantity)
    parts = split_by_time(span, [DAY0 + cut * HOUR for cut in cuts])
    assert sum(part.quantity for part in parts) == quantity
    assert all(part.quantity >= 0 and "prorated" in part.flags for part in parts)
    assert (parts[0].occurred_from, parts[-1].occurred_to) == (DAY0, span.occurred_to)


def test_a_span_that_no_boundary_cuts_stays_as_it_is() -> None:
    (span,) = hourly(0, 5)
    assert split_by_time(span, [DAY0, DAY0 + HOUR, DAY0 + 9 * HOUR]) == (span,)


def test_an_estimate_for_a_gas_meter_goes_by_the_calorific_value_as_its_readings_do() -> None:
    spec = MeterSpec(meter_id="M1", unit="m3")
    like = reading(
        **GAS,
        quantity="10",
        unit="m3",
        heating_value="gross",
        calorific_value="36",
        calorific_unit="MJ/m3",
    )
    (estimate,) = estimates_of(gap(34, 35), hourly(10, 10), spec)
    line = line_of_estimate(estimate, like, spec, shipped())
    (read,) = lines_of_meter_reading(like, shipped())
    assert line.kgco2e == read.kgco2e
    assert "calorific_value_not_stated" not in line.flags
    assert_written(line)


def test_estimates_of_another_period_stand_until_their_own_data_come() -> None:
    spans = hourly(0, 60)
    (early,) = estimates_of(gap(24, 25), spans, SPEC)
    later = settle((early,), spans, DAY0 + 48 * HOUR, DAY0 + 49 * HOUR, SPEC)
    assert (later.keep, later.reverse) == ((early,), ())
    assert [one.occurred_from for one in later.post] == [DAY0 + 48 * HOUR]
    come = settle((early,), [*spans, *hourly(24, 5)], DAY0 + 48 * HOUR, DAY0 + 49 * HOUR, SPEC)
    assert (come.keep, come.reverse) == ((), (early,))
