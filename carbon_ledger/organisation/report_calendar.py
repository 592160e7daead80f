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

from carbon_ledger.reference.calendars import WEEKENDS, Holiday, ReportSchedule
from carbon_ledger.reference.records import zone_of
from carbon_ledger.report_names import MONTHLY, QUARTERLY

DAY: Final = timedelta(days=1)
# A period that ended this long before can still be due: 20 working days, and holidays.
LONGEST_DELAY: Final = timedelta(days=400)
# With ever so many holidays a working day is found within this, or there is none.
SEARCH_DAYS_MAX: Final = 400
MONTHS_OF: Final = {MONTHLY: 1, QUARTERLY: 3}


@dataclass(frozen=True, kw_only=True)
class Due:
    """A report that is due at `due_at` (UTC): which schedule's, and of which period.

    `period` is 2026-03, 2026-Q1 or 2026, local dates `[first_date, end_date)`. `fiscal_year` is the
    year whose report is made.
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


def months_of(period: str) -> list[str]:
    """The months that a month or quarter has, as periods that are closed; a year itself."""
    year, _, part = period.partition("-")
    if not part.startswith("Q"):
        return [period]
    first = 3 * int(part[1:]) - 2
    return [f"{year}-{month:02}" for month in range(first, first + 3)]


def due_between(
    statements: Iterable[ReportSchedule],
    holidays: Iterable[Holiday],
    after: datetime,
    until: datetime,
) -> list[Due]:
    """What is due in `(after, until]`, the earliest first, each period once per schedule.

    `statements` and `holidays` are of one organization, each in force on its own days; a period
    that two statements make due is due by the first.
    """
    off = holiday_dates(holidays)
    found = sorted(
        (
            due
            for one in statements
            for due in _dues(one, off, after, until)
            if after < due.due_at <= until
        ),
        key=lambda due: (due.due_at, due.schedule, due.period),
    )
    once: dict[tuple[str, str], Due] = {}
    for due in found:
        once.setdefault((due.schedule, due.period), due)
    return list(once.values())


def next_due(
    statements: Iterable[ReportSchedule], holidays: Iterable[Holiday], after: datetime
) -> dict[str, Due]:
    """By schedule, what is due next after a moment; nothing for one that ends before."""
    coming = due_between(tuple(statements), holidays, after, after + LONGEST_DELAY)
    found: dict[str, Due] = {}
    for due in coming:
        found.setdefault(due.schedule, due)
    return found


def _dues(
    stated: ReportSchedule, off: Collection[date], after: datetime, until: datetime
) -> Iterator[Due]:
    first, last = (after - LONGEST_DELAY).date(), (until + LONGEST_DELAY).date()
    periods = (
        _years(first.year, last.year)
        if stated.working_day is None
        else _months(stated.schedule, first, last)
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
            fiscal_year=begin.year,
            first_date=begin,
            end_date=end,
            due_at=moment_of(day, stated.due_time, stated.time_zone),
        )


def _day_of(stated: ReportSchedule, end: date, off: Collection[date]) -> date | None:
    if stated.working_day is not None:
        return working_day_from(end, stated.working_day, stated.weekend, off)
    month, day = (int(part) for part in (stated.due_day or "").split("-"))
    return working_day_from(date(end.year, month, day), 1, stated.weekend, off)


def _months(schedule: str, first: date, last: date) -> Iterator[tuple[str, date, date]]:
    """Months or quarters that begin from the year of `first` to that of `last`."""
    length = MONTHS_OF[schedule]
    for year in range(first.year, last.year + 1):
        for month in range(1, 13, length):
            begin = date(year, month, 1)
            end = date(year + (month + length) // 13, (month + length - 1) % 12 + 1, 1)
            number = f"{month:02}" if length == 1 else f"Q{(month + 2) // 3}"
            yield f"{year}-{number}", begin, end


def _years(first: int, last: int) -> Iterator[tuple[str, date, date]]:
    for year in range(first - 1, last + 1):
        yield str(year), date(year, 1, 1), date(year + 1, 1, 1)
