"""When reports are due: working days, holidays, zones, and clocks that are put forward and back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.organisation.report_calendar import (
    Due,
    due_between,
    is_working_day,
    moment_of,
    months_of,
    next_due,
    working_day_from,
)
from carbon_ledger.reference.calendars import Holiday, ReportSchedule
from carbon_ledger.report_names import REPORTS_OF, SCHEDULES

BEGIN, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def stated(**changes: Any) -> ReportSchedule:
    plain: dict[str, Any] = {"schedule": "monthly_accrual", "time_zone": "Europe/Berlin"}
    if changes.get("schedule", "").startswith("annual"):
        plain["due_day"] = "02-15"
    else:
        plain["working_day"] = 5
    return ReportSchedule(**{"organization_id": "acme", **plain, **changes})


def off(first: date, days: int = 1) -> Holiday:
    return Holiday(
        organization_id="acme",
        name=f"off {first}",
        valid_from=first,
        valid_to=first + timedelta(days=days),
    )


def of(found: list[Due], period: str) -> datetime:
    (one,) = [due for due in found if due.period == period]
    return one.due_at


# The months' ends of 2026: which day of the next month is the fifth that people work on.
FIFTH = [
    ("2025-12", [], datetime(2026, 1, 7, 5, tzinfo=UTC)),  # 1 January is a Thursday
    ("2025-12", [date(2026, 1, 1)], datetime(2026, 1, 8, 5, tzinfo=UTC)),
    ("2025-12", [date(2026, 1, 3)], datetime(2026, 1, 7, 5, tzinfo=UTC)),  # a Saturday anyway
    ("2026-03", [], datetime(2026, 4, 7, 4, tzinfo=UTC)),
    ("2026-03", [date(2026, 4, 3), date(2026, 4, 6)], datetime(2026, 4, 9, 4, tzinfo=UTC)),
]


@pytest.mark.parametrize(("period", "holidays", "due_at"), FIFTH)
def test_a_month_is_due_on_the_nth_working_day_after_it(
    period: str, holidays: list[date], due_at: datetime
) -> None:
    assert of(due_between([stated()], map(off, holidays), BEGIN, END), period) == due_at


def test_a_quarter_may_be_due_before_it_ends() -> None:
    quarterly = stated(schedule="quarterly_pre_close", working_day=-3, time_zone="UTC")
    found = due_between([quarterly], [off(date(2026, 3, 30))], BEGIN, END)
    assert of(found, "2026-Q1") == datetime(2026, 3, 26, 6, tzinfo=UTC)
    assert [one.period for one in found][:3] == ["2025-Q1", "2025-Q2", "2025-Q3"]
    (first,) = [one for one in found if one.period == "2025-Q4"]
    assert (first.first_date, first.end_date) == (date(2025, 10, 1), date(2026, 1, 1))
    assert first.fiscal_year == 2025


def test_a_year_is_due_in_the_year_after_on_the_next_working_day() -> None:
    found = due_between([stated(schedule="annual_csrd", time_zone="UTC")], [], BEGIN, END)
    # 15 February 2025 is a Saturday, in 2026 a Sunday.
    assert [(one.period, one.due_at.date()) for one in found] == [
        ("2024", date(2025, 2, 17)),
        ("2025", date(2026, 2, 16)),
    ]


def test_a_weekend_is_the_company_s() -> None:
    gulf = stated(weekend="fri_sat", working_day=1, time_zone="Asia/Riyadh")
    found = due_between([gulf], [], BEGIN, END)
    assert of(found, "2026-04") == datetime(2026, 5, 3, 3, tzinfo=UTC)  # 1 May 2026: a Friday
    assert is_working_day(date(2026, 5, 3), "fri_sat", ())
    assert not is_working_day(date(2026, 5, 3), "sat_sun", ())


CLOCKS = [
    # Berlin goes from 02:00 to 03:00 on 29 March 2026, and back from 03:00 on 25 October.
    (date(2026, 3, 28), "02:30", datetime(2026, 3, 28, 1, 30, tzinfo=UTC)),
    (date(2026, 3, 29), "02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    (date(2026, 3, 29), "03:00", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
    (date(2026, 10, 25), "02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    (date(2026, 10, 25), "03:00", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
]


@pytest.mark.parametrize(("day", "time", "moment"), CLOCKS)
def test_a_moment_is_one_even_where_the_clock_has_none_or_two(
    day: date, time: str, moment: datetime
) -> None:
    assert moment_of(day, time, "Europe/Berlin") == moment


def test_a_changed_statement_makes_no_period_due_twice() -> None:
    old = stated(working_day=5, valid_to="2026-04-06")
    new = stated(working_day=3, valid_from="2026-04-06", due_time="18:00")
    found = due_between([old, new], [], BEGIN, END)
    assert len({(one.schedule, one.period) for one in found}) == len(found)
    # The fifth day of April is beyond the old statement and the third before the new one.
    assert "2026-03" not in {one.period for one in found}
    assert of(found, "2026-04") == datetime(2026, 5, 5, 16, tzinfo=UTC)
    assert of(found, "2026-02") == datetime(2026, 3, 6, 5, tzinfo=UTC)


def test_only_holidays_make_nothing_due() -> None:
    assert working_day_from(date(2026, 1, 1), 1, "sat_sun", _whole(2025, 2028)) is None
    always = [off(date(2025, 1, 1), 1200)]
    assert due_between([stated()], always, datetime(2026, 1, 1, tzinfo=UTC), END) == []


def _whole(first: int, last: int) -> set[date]:
    begin = date(first, 1, 1)
    return {begin + timedelta(days=n) for n in range((date(last, 1, 1) - begin).days)}


def test_what_is_next_is_the_earliest_of_each_schedule() -> None:
    both = [stated(), stated(schedule="annual_cdp", due_day="07-31")]
    found = next_due(both, [], datetime(2026, 11, 29, tzinfo=UTC))
    assert {name: due.period for name, due in found.items()} == {
        "monthly_accrual": "2026-11",
        "annual_cdp": "2026",
    }


def test_a_quarter_is_closed_by_its_months() -> None:
    assert months_of("2026-Q4") == ["2026-10", "2026-11", "2026-12"]
    assert (months_of("2026-03"), months_of("2026")) == (["2026-03"], ["2026"])


def test_every_schedule_makes_a_report() -> None:
    assert set(REPORTS_OF) == set(SCHEDULES)
    assert all(REPORTS_OF.values())


@given(
    st.integers(0, 4 * 365 * 24 * 60),
    st.integers(0, 200 * 24 * 60),
    st.integers(0, 200 * 24 * 60),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]),
    st.integers(-20, 20).filter(bool),
)
def test_spans_that_meet_have_what_the_whole_has_and_nothing_twice(
    start: int, one: int, two: int, zone: str, number: int
) -> None:
    """So it does not matter how often, or how late, anybody asks."""
    plan = [stated(time_zone=zone, working_day=number, due_time="02:30")]
    begin = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    middle = begin + timedelta(minutes=one)
    end = middle + timedelta(minutes=two)
    parts = due_between(plan, [], begin, middle) + due_between(plan, [], middle, end)
    assert parts == due_between(plan, [], begin, end)
    for due in parts:
        local = due.due_at.astimezone(ZoneInfo(zone))
        assert local.weekday() < 5
        assert (local.hour, local.minute) in ((2, 30), (3, 30))
