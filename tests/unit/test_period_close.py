"""Which state may follow which, what is late, and what becomes of it: tables, and laws."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.organisation.period_close import (
    CLOSED,
    FOLLOWING,
    IN_THE_WAY,
    TWO_PEOPLE,
    Cell,
    CellKey,
    Cells,
    Obstacle,
    Standing,
    State,
    cells_of,
    check_step,
    disclosures,
    following,
    is_over,
    judge_late,
    left_in_the_way,
    period_of,
    sum_of,
    totals_of,
)
from carbon_ledger.policy import Policy

YEAR, MARCH = period_of("2024"), period_of("2024-03")
CLOSE = datetime(2025, 2, 1, tzinfo=UTC)
POLICY = Policy()
STATES: tuple[State, ...] = get_args(State)


def cell(kgco2e: str, entries: int = 1, lines: int = 1) -> Cell:
    return Cell(kgco2e=Decimal(kgco2e), kg_co2_biogenic=Decimal(0), entries=entries, lines=lines)


def key(scope: int, category: int = 0, basis: str = "combustion") -> CellKey:
    return CellKey(scope=scope, category=category, basis=basis)


GAS = key(1)
LOCATION, MARKET = key(2, basis="location"), key(2, basis="market")
GOODS, LOSSES_MARKET = key(3, 1, "supplier"), key(3, 3, "market")
EVIDENCE = key(0, 0, "combustion")
CLOSED_WITH: Cells = {
    GAS: cell("200"),
    LOCATION: cell("300"),
    MARKET: cell("100"),
    GOODS: cell("500"),
    LOSSES_MARKET: cell("7"),
    EVIDENCE: cell("0"),
}


# --- periods


@pytest.mark.parametrize(
    ("text", "first_month", "first", "end", "is_year"),
    [
        ("2024", 1, date(2024, 1, 1), date(2025, 1, 1), True),
        ("2024", 4, date(2023, 4, 1), date(2024, 4, 1), True),
        ("2024-02", 1, date(2024, 2, 1), date(2024, 3, 1), False),
        ("2024-12", 4, date(2024, 12, 1), date(2025, 1, 1), False),
        (" 2024 ", 1, date(2024, 1, 1), date(2025, 1, 1), True),
    ],
)
def test_a_period_is_a_fiscal_year_or_a_month(
    text: str, first_month: int, first: date, end: date, is_year: bool
) -> None:
    found = period_of(text, first_month)
    assert (found.first_date, found.end_date, found.is_year) == (first, end, is_year)
    assert found.text == text.strip()


@pytest.mark.parametrize(
    "text", ["", "24", "2024-13", "2024-00", "2024-3", "2024-03-01", "2024/03", "1999", "now"]
)
def test_anything_else_is_refused_with_what_is_valid(text: str) -> None:
    with pytest.raises(RejectedRecord) as caught:
        period_of(text)
    assert caught.value.code == "unknown_period"
    assert "2025-03" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "first_month", "then"),
    [
        ("2024", 1, "2025"),
        ("2024", 4, "2025"),
        ("2024-03", 1, "2024-04"),
        ("2024-12", 1, "2025-01"),
    ],
)
def test_what_follows_a_period_has_its_length(text: str, first_month: int, then: str) -> None:
    period = period_of(text, first_month)
    assert following(period, first_month) == period_of(then, first_month)
    assert following(period, first_month).first_date == period.end_date


def test_a_period_is_over_when_its_last_day_is_over_everywhere() -> None:
    end = datetime(2024, 4, 1, 12, tzinfo=UTC)
    assert is_over(MARCH, end)
    assert not is_over(MARCH, end - timedelta(microseconds=1))


# --- states


@pytest.mark.parametrize("previous", STATES)
@pytest.mark.parametrize("state", STATES)
def test_a_state_follows_only_those_it_may_follow(previous: State, state: State) -> None:
    steps = {
        *(("open", "soft_closed"), ("soft_closed", "closed"), ("closed", "reported")),
        *(("soft_closed", "reopened"), ("closed", "reopened"), ("reported", "reopened")),
        ("reopened", "soft_closed"),
    }
    if (previous, state) in steps:
        check_step(YEAR, previous, state)
        return
    with pytest.raises(RejectedRecord) as caught:
        check_step(YEAR, previous, state)
    assert caught.value.code == "period_state"
    assert caught.value.valid == ", ".join(FOLLOWING[previous])


def test_all_but_a_soft_close_takes_two_people() -> None:
    assert {state for following in FOLLOWING.values() for state in following} == {
        *TWO_PEOPLE,
        "soft_closed",
    }


def test_a_month_is_closed_and_never_reported() -> None:
    check_step(MARCH, "soft_closed", "closed")
    with pytest.raises(RejectedRecord) as caught:
        check_step(MARCH, "closed", "reported")
    assert (caught.value.code, caught.value.valid) == ("period_is_no_year", "2024")


# --- what stands in the way


def test_only_what_may_be_accepted_is_taken_away() -> None:
    every = [Obstacle(code=code, message="it is so") for code in IN_THE_WAY]
    assert left_in_the_way(every, []) == every
    assert [one.code for one in left_in_the_way(every, ["incomplete"])] == [
        code for code in IN_THE_WAY if code != "incomplete"
    ]
    assert left_in_the_way([], ["incomplete"]) == []


@pytest.mark.parametrize("code", ["batch_open", "not_over", "commits_unsealed", "anything"])
def test_what_nobody_may_accept_is_refused(code: str) -> None:
    with pytest.raises(RejectedRecord) as caught:
        left_in_the_way([], [code])
    assert (caught.value.code, caught.value.value) == ("not_acceptable", code)
    assert "restatement_open" in str(caught.value.valid)


# --- figures


def test_scopes_1_and_3_are_in_both_totals_scope_2_in_that_of_its_basis() -> None:
    assert totals_of(CLOSED_WITH) == {"location": Decimal(1000), "market": Decimal(800)}
    assert totals_of({}) == {"location": Decimal(0), "market": Decimal(0)}


def test_the_figures_are_read_from_the_text_they_are_kept_as() -> None:
    content = (
        "carbon-period/1\tacme\t2024-01-01\t2025-01-01\t2025-02-01T00:00:00.000000Z\n"
        "2\t-\tlocation\t-1.500000000000\t0.250000000000\t3\t5\tab\n"
        "3\t15\twtw\t7.000000000000\t0\t1\t1\tcd\n"
    )
    assert cells_of(content) == {
        LOCATION: replace(cell("-1.5", 3, 5), kg_co2_biogenic=Decimal("0.25")),
        key(3, 15, "wtw"): cell("7"),
    }
    with pytest.raises(BrokenInvariant):
        cells_of("carbon-period/2\n")


# --- late entries


ONE_THOUSAND: Cells = {GAS: cell("1000")}


@pytest.mark.parametrize(
    ("closed", "late", "treatment", "share"),
    [
        # The threshold is 5 % of the closed total, both ways, and it is reached at 5 %.
        (ONE_THOUSAND, {GAS: cell("50")}, "restatement_due", "1/20"),
        (ONE_THOUSAND, {GAS: cell("-50")}, "restatement_due", "1/20"),
        (ONE_THOUSAND, {GAS: cell("49.999999999999")}, "prior_period_adjustment", None),
        # One direction does not hide the other.
        (ONE_THOUSAND, {GAS: cell("30"), GOODS: cell("-30")}, "restatement_due", "3/50"),
        # A correction that comes to nothing is late all the same, and shown.
        (ONE_THOUSAND, {GAS: cell("0", 0, 2)}, "prior_period_adjustment", "0"),
        (ONE_THOUSAND, {}, "none", "0"),
        # The total that moves most decides: 40 of 800 by market, and nothing by location.
        (CLOSED_WITH, {MARKET: cell("40")}, "restatement_due", "1/20"),
        (CLOSED_WITH, {LOCATION: cell("40")}, "prior_period_adjustment", "1/25"),
        # 40 of scope 1 are in both: 4 % by location, 5 % by market.
        (CLOSED_WITH, {GAS: cell("40")}, "restatement_due", "1/20"),
        # What is in no total moves none, and is shown.
        (CLOSED_WITH, {LOSSES_MARKET: cell("900")}, "prior_period_adjustment", "0"),
        (CLOSED_WITH, {EVIDENCE: cell("0")}, "prior_period_adjustment", "0"),
        # Where nothing was closed, anything is significant.
        ({}, {GAS: cell("0.000000000001")}, "restatement_due", None),
        ({}, {GAS: cell("0")}, "prior_period_adjustment", "0"),
        ({LOCATION: cell("5")}, {MARKET: cell("1")}, "restatement_due", None),
        # A total below zero has a size all the same.
        ({GAS: cell("-1000")}, {GAS: cell("50")}, "restatement_due", "1/20"),
    ],
)
def test_what_becomes_of_late_entries(
    closed: Cells, late: Cells, treatment: str, share: str | None
) -> None:
    for state in CLOSED:
        found = judge_late(state, closed, late, POLICY)
        assert found.treatment == treatment
        assert found.is_restatement_due == (treatment == "restatement_due")
        if share is not None:
            assert found.share == Fraction(share)
        assert ("prior_period_adjustment" in found.flags) == bool(late)
        assert ("restatement_due" in found.flags) == found.is_restatement_due


def test_the_threshold_is_the_policy_s() -> None:
    late = {GAS: cell("50")}
    for threshold, treatment in (("0.05", "restatement_due"), ("0.051", "prior_period_adjustment")):
        policy = Policy(base_year_threshold=Decimal(threshold))
        found = judge_late("closed", ONE_THOUSAND, late, policy)
        assert (found.treatment, found.threshold) == (treatment, Decimal(threshold))


@pytest.mark.parametrize(
    ("state", "treatment"),
    [("open", "none"), ("reopened", "none"), ("soft_closed", "late_line")],
)
def test_before_the_close_late_lines_count_at_most_flagged(state: State, treatment: str) -> None:
    found = judge_late(state, ONE_THOUSAND, {GAS: cell("900")}, POLICY)
    assert found.treatment == treatment
    assert found.flags == (("late_line",) if state == "soft_closed" else ())
    assert judge_late(state, ONE_THOUSAND, {}, POLICY).flags == ()


def test_the_change_of_each_total_is_signed() -> None:
    found = judge_late("closed", CLOSED_WITH, {GAS: cell("-3"), MARKET: cell("1")}, POLICY)
    assert found.delta_kgco2e == {"location": Decimal(-3), "market": Decimal(-2)}


FIGURES = st.dictionaries(
    st.sampled_from([GAS, LOCATION, MARKET, GOODS]),
    st.decimals(-1000, 1000, places=3, allow_nan=False).map(lambda value: cell(str(value))),
)


@given(closed=FIGURES, late=FIGURES)
def test_more_of_the_same_late_entries_never_makes_restating_less_due(
    closed: Cells, late: Cells
) -> None:
    once = judge_late("closed", closed, late, POLICY)
    twice = judge_late("closed", closed, sum_of(late, late), POLICY)
    assert twice.is_restatement_due or not once.is_restatement_due


@given(one=FIGURES, other=FIGURES)
def test_totals_of_a_sum_are_sums_of_totals(one: Cells, other: Cells) -> None:
    parts = [totals_of(one), totals_of(other)]
    for name, total in totals_of(sum_of(one, other)).items():
        assert total == sum(part[name] for part in parts)


# --- where they are shown


def standing(text: str, state: State, days: int = 0) -> Standing:
    as_of = None if state in ("open", "reopened") else CLOSE + timedelta(days=days)
    return Standing(period=period_of(text), state=state, as_of=as_of)


@pytest.mark.parametrize(
    ("others", "shown"),
    [
        ([], [("2025", 0, None)]),
        ([standing("2025", "open")], [("2025", 0, None)]),
        ([standing("2025", "soft_closed", 9)], [("2025", 0, None)]),
        ([standing("2025", "reopened")], [("2025", 0, None)]),
        # What came before the next year was closed is shown there, the rest in the one after.
        ([standing("2025", "closed", 365)], [("2025", 0, 365), ("2026", 365, None)]),
        (
            [standing("2025", "reported", 365), standing("2026", "closed", 730)],
            [("2025", 0, 365), ("2026", 365, 730), ("2027", 730, None)],
        ),
        # A later year that was closed earlier shows nothing of it; nor does a month.
        ([standing("2025", "closed", -9)], [("2026", 0, None)]),
        ([standing("2025", "closed", 0)], [("2026", 0, None)]),
        ([standing("2024-04", "closed", 5), standing("2023", "open")], [("2025", 0, None)]),
    ],
)
def test_late_entries_are_shown_in_the_next_period_that_is_open_when_they_come(
    others: list[Standing], shown: list[tuple[str, int, int | None]]
) -> None:
    found = disclosures(standing("2024", "reported"), others)
    assert [(one.period.text, one.after, one.until) for one in found] == [
        (
            text,
            CLOSE + timedelta(days=after),
            None if until is None else CLOSE + timedelta(days=until),
        )
        for text, after, until in shown
    ]


def test_a_month_is_shown_in_a_month() -> None:
    (found,) = disclosures(standing("2024-12", "closed"), [standing("2025", "open")])
    assert found.period == period_of("2025-01")


def test_the_periods_in_which_late_entries_are_shown_are_followed_for_fifty_years() -> None:
    months = [f"{2025 + number // 12}-{number % 12 + 1:02}" for number in range(55 * 12)]
    others = [standing(text, "closed", days) for days, text in enumerate(months, start=1)]
    found = disclosures(standing("2024-12", "closed"), others)
    assert [one.period.text for one in found] == months[: 50 * 12]


@pytest.mark.parametrize("state", ["open", "reopened"])
def test_an_open_period_has_nothing_to_show(state: State) -> None:
    assert disclosures(standing("2024", state), []) == ()
