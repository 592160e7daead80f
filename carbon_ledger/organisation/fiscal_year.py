"""Which days a fiscal year has that begins on the first of a month, and which year a day is in.

Belongs here: the arithmetic of years; pure. Does not: in which month an organization's year begins
(carbon_ledger.reference.register).

A fiscal year is named for the calendar year in which it ends: April 2025 to March 2026 is 2026. The
reporting period is that of the financial statements (ESRS 1, 6.1).
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Final

JANUARY: Final = 1
MONTHS: Final = 12


def fiscal_period(fiscal_year: int, first_month: int = JANUARY) -> tuple[date, date]:
    """First day of a fiscal year and of the one after; `first_month` is from 1 to 12."""
    begin = date(fiscal_year - (first_month != JANUARY), first_month, 1)
    return begin, begin.replace(year=begin.year + 1)


def fiscal_year_of(day: date, first_month: int = JANUARY) -> int:
    """The fiscal year that has the day."""
    return day.year + (first_month != JANUARY and day.month >= first_month)


def quarters_of(fiscal_year: int, first_month: int = JANUARY) -> list[tuple[date, date]]:
    """First days of a fiscal year's four quarters, each with that of the next."""
    begin, _ = fiscal_period(fiscal_year, first_month)
    days = [months_on(begin, months) for months in range(0, MONTHS + 1, 3)]
    return list(pairwise(days))


def months_on(first: date, months: int) -> date:
    """The first of the month that is so many months after another first."""
    year, month = divmod(first.year * MONTHS + first.month - 1 + months, MONTHS)
    return date(year, month + 1, 1)


def parts_of_period(begin: date, end: date) -> list[tuple[date, date]]:
    """The parts of `[begin, end)` that are in one calendar year each, in order."""
    days = [begin, *(date(year, 1, 1) for year in range(begin.year + 1, end.year + 1)), end]
    return [(one, other) for one, other in pairwise(days) if one < other]


def parts_of_calendar_year(year: int, first_month: int = JANUARY) -> list[tuple[date, date]]:
    """The parts `[begin, end)` of a calendar year that are in one fiscal year each, in order."""
    begin, middle, end = date(year, 1, 1), date(year, first_month, 1), date(year + 1, 1, 1)
    return [(begin, end)] if middle == begin else [(begin, middle), (middle, end)]
