"""What is expected of the sources: who must say something and how often, and totals others state.

Belongs here: the two kinds of records. Does not: what is missing (carbon_ledger.completeness).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.reference.fields import (
    Amount,
    AnyAmount,
    FilledText,
    Identifier,
    OptionalIdentifier,
    OptionalText,
    Record,
    Text,
    one_of,
    optional,
    rejected,
    whole_number,
)
from carbon_ledger.streams import STREAMS

RHYTHMS: Final = ("interval", "day", "month")
CONTROL_KINDS: Final = ("invoice", "fuel_card", "gl_spend")
DAY_SECONDS: Final = 86_400
GRACE_DAYS_MAX: Final = 366
PERCENT_MAX: Final = 100

StreamName = Annotated[str, one_of(*(stream.name for stream in STREAMS))]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedSource(Record):
    """A source that must have activities in every interval, on every day or in every month.

    `source_id` is what entries call their source: a meter, a vehicle, a supplier, a template of the
    activity register. Days and months are those of its site (`facility_id`; UTC without one), and
    then only entries of the site count. A slot is missed `grace_days` after its end. `arrives_in`
    names the series of files its data come in: where nothing of a file's sources came, the file is
    what is missing.
    """

    KIND: ClassVar[str] = "expected_source"
    KEY: ClassVar[tuple[str, ...]] = ("stream", "source_id", "facility_id")

    stream: StreamName
    source_id: Identifier
    facility_id: OptionalIdentifier = None
    every: Annotated[str, one_of(*RHYTHMS)]
    interval_seconds: Annotated[int | None, optional(whole_number(DAY_SECONDS))] = None
    grace_days: Annotated[int, whole_number(GRACE_DAYS_MAX)] = 0
    arrives_in: OptionalIdentifier = None
    name: Text = ""

    def own_problems(self) -> Iterator[RejectedRecord]:
        """An interval has a length that divides the day, the other rhythms have none."""
        seconds = self.interval_seconds
        if (self.every == "interval") != (seconds is not None):
            yield rejected(
                "interval_incomplete",
                "interval_seconds",
                seconds,
                f"every {self.every} {'needs a' if seconds is None else 'has no'} length",
                "seconds for every interval, none for day and month",
            )
        elif seconds is not None and (seconds == 0 or DAY_SECONDS % seconds):
            yield rejected(
                "interval_does_not_divide_the_day",
                "interval_seconds",
                seconds,
                f"days are not made of intervals of {seconds} s",
                "a divisor of 86400, such as 900",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlTotal(Record):
    """What an invoice, a fuel card or the general ledger says `[valid_from, valid_to)` came to.

    It is compared with the activities of `stream` narrowed by whatever else is named. The ledger
    may differ by `tolerance_pct` of it, or by `tolerance_quantity` in its unit, whichever is more.
    """

    KIND: ClassVar[str] = "control_total"
    KEY: ClassVar[tuple[str, ...]] = ("control_id",)

    control_id: Identifier
    kind: Annotated[str, one_of(*CONTROL_KINDS)]
    stream: StreamName
    source_id: OptionalIdentifier = None
    facility_id: OptionalIdentifier = None
    organization_id: OptionalIdentifier = None
    activity_type: OptionalText = None
    quantity: AnyAmount
    unit: FilledText
    tolerance_pct: Amount = Decimal(0)
    tolerance_quantity: Amount = Decimal(0)

    def own_problems(self) -> Iterator[RejectedRecord]:
        """A period has an end, and a tolerance is at most the whole."""
        if self.valid_to is None:
            yield rejected(
                "period_without_end",
                "valid_to",
                None,
                "a control total is of a period",
                "the day after the period's last",
            )
        if self.tolerance_pct > PERCENT_MAX:
            yield rejected(
                "out_of_range",
                "tolerance_pct",
                self.tolerance_pct,
                f"{self.tolerance_pct} % is more than the whole",
                f"0 to {PERCENT_MAX}",
            )
