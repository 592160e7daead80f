"""A meter's readings over time: what they cover, the gaps between them, and estimates for those.

Belongs here: series of one meter. Does not: one reading (meter_amounts), the register
between two (meter_registers), trees of meters (meter_trees).

A gap is filled from the same hours of the local day as the meter itself read them, in a line of its
own that says `estimated`; as soon as data come for any part of it, the estimate is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from carbon_ledger.energy.meter_amounts import Amount, Part, in_factor_unit
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.meter_registers import Reset, counted
from carbon_ledger.energy.meters import line_of_amount
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.places import located
from carbon_ledger.quantities import PRODUCT, ROUNDING, exact_product
from carbon_ledger.reference.records import zone_of
from carbon_ledger.workings import Operand, posted_fraction

COARSE: Final = "reading_missing"
PROFILE_DAYS: Final = 28
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterSpec:
    """What is known of a meter: unit, register, how often it is read, its site's calendar.

    `register_size` None: the register never starts again. `most_per_hour` is what the meter can
    pass in an hour, in `unit`; None: half the register between two readings.
    """

    meter_id: str
    unit: str = "kWh"
    register_size: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    step: timedelta = HOUR
    most_per_hour: Decimal | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterReading:
    """A reading of a cumulative register; `reset` where it was reset since the one before."""

    at: datetime
    value: Decimal
    reset: Reset | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What a meter counted in `[occurred_from, occurred_to)`, in the unit of its spec."""

    occurred_from: datetime
    occurred_to: datetime
    quantity: Decimal
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A time for which a meter has no reading."""

    occurred_from: datetime
    occurred_to: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """An estimate for a piece of a gap, within one local hour: hours x kWh read / hours read.

    `read` units were counted in `read_hours` hours of the same local hour on `days` days.
    """

    occurred_from: datetime
    occurred_to: datetime
    hours: Fraction
    read: Fraction
    read_hours: Fraction
    local_hour: int
    days: int

    @property
    def exact(self) -> Fraction:
        """The estimated quantity, exactly."""
        return self.hours * self.read / self.read_hours


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What becomes of estimates once more data are there."""

    keep: tuple[Estimate, ...]
    reverse: tuple[Estimate, ...]
    post: tuple[Estimate, ...]


def spans_of_register(
    readings: Iterable[RegisterReading], spec: MeterSpec
) -> tuple[tuple[Span, ...], tuple[Gap, ...]]:
    """What a register counted between its readings, and the times for which that is not known.

    The total over missed readings is known (flagged `reading_missing`). Not known is what was
    counted before a reset whose last reading is missing: from the reading before it, all is a gap.
    Raises RejectedRecord `reading_twice`, and what `meter_registers.counted` raises.
    """
    ordered = sorted(readings, key=lambda one: one.at)
    spans: list[Span] = []
    gaps: list[Gap] = []
    for before, after in pairwise(ordered):
        if before.at == after.at:
            raise RejectedRecord(
                "reading_twice",
                f"meter {spec.meter_id} has two readings at {after.at.isoformat()}",
                field="timestamp",
                value=after.at,
                valid="one reading at a time",
            )
        if after.reset is not None and after.reset.final is None:
            gaps.append(Gap(occurred_from=before.at, occurred_to=after.at))
            continue
        found = counted(
            before.value,
            after.value,
            size=spec.register_size,
            reset=after.reset,
            most=_most(spec, after.at - before.at),
        )
        is_coarse = after.at - before.at > spec.step
        spans.append(
            Span(
                occurred_from=before.at,
                occurred_to=after.at,
                quantity=exact_product(found.amount, spec.multiplier),
                flags=(*found.flags, COARSE) if is_coarse else found.flags,
            )
        )
    return tuple(spans), tuple(gaps)


def _most(spec: MeterSpec, elapsed: timedelta) -> Decimal | None:
    if spec.most_per_hour is None:
        return None
    allowed = Fraction(spec.most_per_hour) * _hours(elapsed)
    return ROUNDING.divide(Decimal(allowed.numerator), Decimal(allowed.denominator))


def gaps_of(spans: Iterable[Span], begin: datetime, end: datetime) -> tuple[Gap, ...]:
    """The parts of `[begin, end)` that no span covers, in order.

    Raises RejectedRecord `readings_overlap`: two spans of one meter would count a time twice.
    """
    gaps = []
    reached = begin
    earlier_end: datetime | None = None
    for span in sorted(spans, key=lambda one: one.occurred_from):
        if earlier_end is not None and span.occurred_from < earlier_end:
            raise RejectedRecord(
                "readings_overlap",
                f"a reading from {span.occurred_from.isoformat()} begins before the one before it "
                f"ends at {earlier_end.isoformat()}",
                field="timestamp",
                value=span.occurred_from,
                valid="intervals of one meter that do not overlap",
            )
        earlier_end = span.occurred_to
        if span.occurred_from > reached:
            gaps.append(Gap(occurred_from=reached, occurred_to=min(span.occurred_from, end)))
        reached = max(reached, span.occurred_to)
    if reached < end:
        gaps.append(Gap(occurred_from=reached, occurred_to=end))
    return tuple(gap for gap in gaps if gap.occurred_from < gap.occurred_to)


def estimates_of(
    gap: Gap, spans: Sequence[Span], spec: MeterSpec, days: int = PROFILE_DAYS
) -> tuple[Estimate, ...]:
    """Estimates for a gap, one per local hour it touches, from the same local hours of the meter.

    Read hours are those within `days` days of the gap that lie in one local hour: a span over
    several says nothing about any of them. Raises RejectedRecord `no_profile` where an hour of the
    gap was never read: nothing is made up for it.
    """
    zone = zone_of(spec.time_zone)
    reach = timedelta(days=days)
    read: dict[int, tuple[Fraction, Fraction, set[str]]] = {}
    for span in spans:
        local = span.occurred_from.astimezone(zone)
        if span.occurred_to > _next_hour(span.occurred_from, spec.time_zone):
            continue
        is_near = gap.occurred_from - reach <= span.occurred_from < gap.occurred_to + reach
        if not is_near or span.occurred_to == span.occurred_from:
            continue
        quantity, hours, dates = read.get(local.hour, (Fraction(0), Fraction(0), set()))
        read[local.hour] = (
            quantity + Fraction(span.quantity),
            hours + _hours(span.occurred_to - span.occurred_from),
            dates | {local.date().isoformat()},
        )
    return tuple(_estimate(begin, end, read, spec) for begin, end in _pieces(gap, spec.time_zone))


def _estimate(
    begin: datetime,
    end: datetime,
    read: dict[int, tuple[Fraction, Fraction, set[str]]],
    spec: MeterSpec,
) -> Estimate:
    hour = begin.astimezone(zone_of(spec.time_zone)).hour
    if hour not in read:
        raise RejectedRecord(
            "no_profile",
            f"meter {spec.meter_id} was never read in the local hour {hour}, so its gap from "
            f"{begin.isoformat()} cannot be estimated",
            field="timestamp",
            value=begin,
            valid="readings of that hour within the weeks around the gap",
        )
    quantity, hours, dates = read[hour]
    return Estimate(
        occurred_from=begin,
        occurred_to=end,
        hours=_hours(end - begin),
        read=quantity,
        read_hours=hours,
        local_hour=hour,
        days=len(dates),
    )


def _hours(elapsed: timedelta) -> Fraction:
    return Fraction(elapsed // timedelta(microseconds=1), HOUR // timedelta(microseconds=1))


def _next_hour(moment: datetime, time_zone: str) -> datetime:
    """The next full hour of the local clock after a moment, in UTC."""
    local = moment.astimezone(zone_of(time_zone))
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return moment.astimezone(UTC) - past + HOUR


def _pieces(gap: Gap, time_zone: str) -> list[tuple[datetime, datetime]]:
    pieces = []
    begin = gap.occurred_from
    while begin < gap.occurred_to:
        end = min(_next_hour(begin, time_zone), gap.occurred_to)
        pieces.append((begin, end))
        begin = end
    return pieces


def settle(
    active: Iterable[Estimate],
    spans: Sequence[Span],
    begin: datetime,
    end: datetime,
    spec: MeterSpec,
) -> Settlement:
    """From the estimates that stand and all the data there are now, to what to keep, take back and
    post.

    An estimate stands as long as no data have come for any part of it, even if its profile would be
    another today, or if it lies outside `[begin, end)`, where nothing new is estimated; a piece
    that was partly read is taken back, and the rest estimated anew. Running it again on its own
    result changes nothing.
    """
    keep: list[Estimate] = []
    reverse: list[Estimate] = []
    for one in sorted(active, key=lambda estimate: estimate.occurred_from):
        is_read = any(
            span.occurred_from < one.occurred_to and one.occurred_from < span.occurred_to
            for span in spans
        )
        (reverse if is_read else keep).append(one)
    stood = [
        Span(occurred_from=one.occurred_from, occurred_to=one.occurred_to, quantity=Decimal(0))
        for one in keep
    ]
    post = [
        estimate
        for gap in gaps_of([*spans, *stood], begin, end)
        for estimate in estimates_of(gap, spans, spec)
    ]
    return Settlement(keep=tuple(keep), reverse=tuple(reverse), post=tuple(post))


def line_of_estimate(
    estimate: Estimate, like: MeterReadingEvent, spec: MeterSpec, inventory: Inventory
) -> EmissionLine:
    """The line of an estimate for a meter whose readings are like `like`, flagged `estimated`.

    Raises what carbon_ledger.energy.meters.lines_of_meter_reading raises for lack of a factor.
    """
    where = located(
        like.facility_id, like.country_iso2, like.region, estimate.occurred_from, inventory.register
    )
    source = f"meter {spec.meter_id}, {estimate.days} days around the gap"
    operands = (
        Operand(value=estimate.hours, unit="h", label="length of the gap"),
        Operand(
            value=estimate.read,
            unit=spec.unit,
            label=f"read in the local hour {estimate.local_hour}",
            source=source,
        ),
        Operand(
            value=estimate.read_hours, unit="h", label="hours read", source=source, divides=True
        ),
    )
    amount = Amount(
        parts=(Part(sign=1, operands=operands),),
        unit=spec.unit,
        quantity=posted_fraction(estimate.exact),
        shown_unit=spec.unit,
    )
    return line_of_amount(
        like,
        in_factor_unit(like, amount, where, inventory),
        where,
        inventory,
        is_estimate=True,
        occurred_from=estimate.occurred_from,
        occurred_to=estimate.occurred_to,
    )


def split_by_time(span: Span, cuts: Iterable[datetime]) -> tuple[Span, ...]:
    """A span cut at moments inside it, its quantity by time: the parts are the whole, exactly.

    Every part but the last is rounded to 12 decimals, and the last is what is left. Flagged
    `prorated`. Cut-off: an activity that spans a boundary belongs to both sides of it.
    """
    inside = sorted({cut for cut in cuts if span.occurred_from < cut < span.occurred_to})
    if not inside:
        return (span,)
    bounds = [span.occurred_from, *inside, span.occurred_to]
    whole = _hours(span.occurred_to - span.occurred_from)
    parts: list[Span] = []
    left = span.quantity
    for begin, end in pairwise(bounds):
        share = left
        if end != span.occurred_to:
            exact = Fraction(span.quantity) * _hours(end - begin) / whole
            share = min(posted_fraction(exact), left)
        left = PRODUCT.subtract(left, share)
        parts.append(
            Span(
                occurred_from=begin,
                occurred_to=end,
                quantity=share,
                flags=tuple(sorted({*span.flags, "prorated"})),
            )
        )
    return tuple(parts)
