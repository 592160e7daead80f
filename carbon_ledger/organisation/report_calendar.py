"""At which moments reports are due, by what a company states of its calendar.

Belongs here: working days, periods, moments; pure. Does not: the statements
(carbon_ledger.reference.calendars), what was made already (carbon_ledger.store.report_schedules).

A moment is told on the company's own clock and meant in UTC: where a clock is put forward past it,
it is as long after the gap as it would have been after the hour before (PEP 495); where a clock is
put back, it is the first of the two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from carbon_ledger.organisation.fiscal_year import (
    JANUARY,
    MONTHS,
    fiscal_period,
    fiscal_year_of,
    months_on,
    quarters_of,
)
from carbon_ledger.reference.calendars import WEEKENDS, Holiday, ReportSchedule
from carbon_ledger.reference.records import zone_of
from carbon_ledger.report_names import MONTHLY, QUARTERLY

DAY: Final = timedelta(days=1)
# A period that ended this long before can still be due: 20 working days, and holidays.
LONGEST_DELAY: Final = timedelta(days=400)
# With ever so many holidays a working day is found within this, or there is none.
SEARCH_DAYS_MAX: Final = 400


@dataclass(frozen=True, kw_only=True)
class Due:
    """A report that is due at `due_at` (UTC): which schedule's, and of which period.

    `period` is 2026-03, 2026-Q1 or 2026, local dates `[first_date, end_date)`; quarters and years
    are those of the organization's fiscal years. `fiscal_year` is the year whose report is made.
    """

    organization_id: str
    schedule: str
    period: str
    fiscal_year: int
    first_date: date
    end_date: date
    due_at: datetime


def is_working_day(day: date, weekend: str, holidays: Collection[date]) -> bool:
    """Whether the company works on the day."""
    return day.weekday() not in WEEKENDS[weekend] and day not in holidays


def working_day_from(
    end: date, number: int, weekend: str, holidays: Collection[date]
) -> date | None:
    """The `number`-th working day from `end` on (1 and up), or before it (-1 and down).

    None where SEARCH_DAYS_MAX days do not have so many.
    """
    step = DAY if number > 0 else -DAY
    day, left = end if number > 0 else end - DAY, abs(number)
    for _ in range(SEARCH_DAYS_MAX):
        left -= is_working_day(day, weekend, holidays)
        if not left:
            return day
        day += step
    return None


def moment_of(day: date, local_time: str, time_zone: str) -> datetime:
    """The moment, in UTC, at which a clock of the zone shows this time."""
    hour, minute = (int(part) for part in local_time.split(":"))
    local = datetime.combine(day, time(hour, minute), tzinfo=zone_of(time_zone))
    return local.astimezone(UTC)


def holiday_dates(holidays: Iterable[Holiday]) -> frozenset[date]:
    """The single days of holidays."""
    return frozenset(
        one.valid_from + number * DAY
        for one in holidays
        if one.valid_to is not None
        for number in range((one.valid_to - one.valid_from).days)
    )


def months_of(period: str, first_month: int = JANUARY) -> list[str]:
    """The months that a month or quarter has, as periods that are closed; a year itself."""
    year, _, part = period.partition("-")
    if not part.startswith("Q"):
        return [period]
    begin, _ = quarters_of(int(year), first_month)[int(part[1:]) - 1]
    return [f"{months_on(begin, number):%Y-%m}" for number in range(3)]


def due_between(
    statements: Iterable[ReportSchedule],
    holidays: Iterable[Holiday],
    after: datetime,
    until: datetime,
    first_month: int = JANUARY,
) -> list[Due]:
    """What is due in `(after, until]`, the earliest first, each period once per schedule.

    `statements` and `holidays` are of one organization, whose fiscal years begin in `first_month`,
    each in force on its own days; a period that two statements make due is due by the first.
    """
    off = holiday_dates(holidays)
    found = sorted(
        (
            due
            for one in statements
            for due in _dues(one, off, after, until, first_month)
            if after < due.due_at <= until
        ),
        key=lambda due: (due.due_at, due.schedule, due.period),
    )
    once: dict[tuple[str, str], Due] = {}
    for due in found:
        once.setdefault((due.schedule, due.period), due)
    return list(once.values())


def next_due(
    statements: Iterable[ReportSchedule],
    holidays: Iterable[Holiday],
    after: datetime,
    first_month: int = JANUARY,
) -> dict[str, Due]:
    """By schedule, what is due next after a moment; nothing for one that ends before."""
    coming = due_between(tuple(statements), holidays, after, after + LONGEST_DELAY, first_month)
    found: dict[str, Due] = {}
    for due in coming:
        found.setdefault(due.schedule, due)
    return found


def _dues(
    stated: ReportSchedule,
    off: Collection[date],
    after: datetime,
    until: datetime,
    first_month: int,
) -> Iterator[Due]:
    first, last = (after - LONGEST_DELAY).date(), (until + LONGEST_DELAY).date()
    years = range(fiscal_year_of(first, first_month) - 1, fiscal_year_of(last, first_month) + 1)
    periods = {MONTHLY: _months, QUARTERLY: _quarters}.get(stated.schedule, _years)(
        years, first_month
    )
    for text, begin, end in periods:
        day = _day_of(stated, end, off)
        if day is None or day < stated.valid_from:
            continue
        if stated.valid_to is not None and day >= stated.valid_to:
            continue
        yield Due(
            organization_id=stated.organization_id,
            schedule=stated.schedule,
            period=text,
            fiscal_year=fiscal_year_of(begin, first_month),
            first_date=begin,
            end_date=end,
            due_at=moment_of(day, stated.due_time, stated.time_zone),
        )


def _day_of(stated: ReportSchedule, end: date, off: Collection[date]) -> date | None:
    if stated.working_day is not None:
        return working_day_from(end, stated.working_day, stated.weekend, off)
    month, day = (int(part) for part in (stated.due_day or "").split("-"))
    first = date(end.year, month, day)
    # The first of its name that is not before the end.
    due = first if first >= end else date(end.year + 1, month, day)
    return working_day_from(due, 1, stated.weekend, off)


def _months(years: Iterable[int], first_month: int) -> Iterator[tuple[str, date, date]]:
    for year in years:
        begin, _ = fiscal_period(year, first_month)
        for number in range(MONTHS):
            first = months_on(begin, number)
            yield f"{first:%Y-%m}", first, months_on(first, 1)


def _quarters(years: Iterable[int], first_month: int) -> Iterator[tuple[str, date, date]]:
    for year in years:
        for number, (begin, end) in enumerate(quarters_of(year, first_month), start=1):
            yield f"{year}-Q{number}", begin, end


def _years(years: Iterable[int], first_month: int) -> Iterator[tuple[str, date, date]]:
    for year in years:
        yield str(year), *fiscal_period(year, first_month)
