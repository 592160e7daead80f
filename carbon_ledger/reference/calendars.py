"""When a company wants its reports, and on which days it does not work.

Belongs here: the two kinds of records. Does not: which moments follow from them
(carbon_ledger.organisation.report_calendar).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.reference.fields import FilledText, Identifier, Record, one_of, rejected
from carbon_ledger.reference.records import check_time_zone
from carbon_ledger.report_names import MONTHLY, QUARTERLY, SCHEDULES

# Those that are due so many working days from the end of their period.
BY_WORKING_DAY: Final = (MONTHLY, QUARTERLY)
WORKING_DAYS_MAX: Final = 20
# Days of the week that nobody works on, Monday being 0.
WEEKENDS: Final[dict[str, tuple[int, ...]]] = {
    "sat_sun": (5, 6),
    "fri_sat": (4, 5),
    "sun": (6,),
    "none": (),
}
LEAP_YEAR: Final = 2000
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_DAY = re.compile(r"(\d\d)-(\d\d)", re.ASCII)


def _zone(_: str, value: object) -> str:
    return check_time_zone(value)


def time_of_day(name: str, value: object) -> str:
    """A local time as HH:MM; code `not_a_time`."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        return value
    raise rejected(
        "not_a_time", name, value, f"{str(value)[:60]!r} is not a time", "HH:MM, such as 06:00"
    )


def working_day(name: str, value: object) -> int | None:
    """How many working days after the end (1 and up) or before it (-1 and down); None for none.

    Code `not_a_working_day`.
    """
    if value is None or value == "":
        return None
    digits = str(value)
    if re.fullmatch(r"-?[1-9]\d?", digits, re.ASCII) and not isinstance(value, bool):
        if abs(int(digits)) <= WORKING_DAYS_MAX:
            return int(digits)
    raise rejected(
        "not_a_working_day",
        name,
        value,
        f"{str(value)[:60]!r} is not a working day",
        f"1 to {WORKING_DAYS_MAX} after the end, -1 to -{WORKING_DAYS_MAX} before it",
    )


def day_of_year(name: str, value: object) -> str | None:
    """A day that every year has, as MM-DD; None for none. Code `not_a_day_of_the_year`."""
    if value is None or value == "":
        return None
    found = _DAY.fullmatch(value) if isinstance(value, str) else None
    if found and value != "02-29":
        try:
            date(LEAP_YEAR, int(found[1]), int(found[2]))
        except ValueError:
            pass
        else:
            return str(value)
    raise rejected(
        "not_a_day_of_the_year",
        name,
        value,
        f"{str(value)[:60]!r} is not a day that every year has",
        "MM-DD, such as 03-31",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSchedule(Record):
    """When a report is due: at `due_time` of the company's `time_zone`, on a day that its calendar
    gives, if that day is in `[valid_from, valid_to)`.

    Of a month or quarter the day is the `working_day`-th working day after its end, or before it if
    negative. Of a fiscal year it is the first `due_day` from its end on, or the next working day.
    """

    KIND: ClassVar[str] = "report_schedule"
    KEY: ClassVar[tuple[str, ...]] = ("organization_id", "schedule")

    organization_id: Identifier
    schedule: Annotated[str, one_of(*SCHEDULES)]
    time_zone: Annotated[str, _zone]
    due_time: Annotated[str, time_of_day] = "06:00"
    working_day: Annotated[int | None, working_day] = None
    due_day: Annotated[str | None, day_of_year] = None
    weekend: Annotated[str, one_of(*WEEKENDS)] = "sat_sun"

    def own_problems(self) -> Iterator[RejectedRecord]:
        """A month or quarter has its working day, a year its day, and neither has the other's."""
        wanted, other = "due_day", "working_day"
        if self.schedule in BY_WORKING_DAY:
            wanted, other = other, wanted
        if getattr(self, wanted) is None:
            yield rejected(
                "missing_value", wanted, None, f"{self.schedule} has none", "the day it is due"
            )
        if getattr(self, other) is not None:
            yield rejected(
                "unknown_value",
                other,
                getattr(self, other),
                f"{self.schedule} is due by {wanted}",
                f"none; {wanted} says when",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Holiday(Record):
    """Days `[valid_from, valid_to)` on which the company does not work, beside its weekends."""

    KIND: ClassVar[str] = "holiday"
    KEY: ClassVar[tuple[str, ...]] = ("organization_id", "name")

    organization_id: Identifier
    name: FilledText

    def own_problems(self) -> Iterator[RejectedRecord]:
        """It ends."""
        if self.valid_to is None:
            yield rejected(
                "period_without_end",
                "valid_to",
                None,
                "a holiday has an end",
                "the day after the last day off",
            )
