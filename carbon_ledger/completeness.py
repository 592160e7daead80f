"""What was expected and what there is: coverage by source and month, gaps by name, control totals.

Belongs here: pure comparison. Does not: what is expected (carbon_ledger.reference.expected), what
there is (carbon_ledger.store.completeness).

The unit is the source-month. A month consists of slots (the intervals, the days, or the month
itself, in the calendar of the source's site); an interval is there if activities cover all of it, a
day or a month if an activity meets it. Of a slot that is not due yet nothing is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.units import ratio
from carbon_ledger.workings import posted_fraction

LOST_FILE: Final = "lost_file"
SILENT: Final = "silent_source"
PARTLY: Final = "missing_slots"
MISSING_MONTH: Final = "missing_month"
DIFFERS: Final = "control_differs"
INCOMPARABLE: Final = "control_not_comparable"

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Missing:
    """Slots one after the other that are not there: from when to when, and how many."""

    begin: datetime
    end: datetime
    slots: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceMonth:
    """A source in a month: slots that are due, slots that are there, and when the others are."""

    source: ExpectedSource
    month: date
    expected: int
    present: int
    missing: tuple[Missing, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What the ledger has beside a control total: sums by unit, and of how many activities."""

    sums: Mapping[str, Decimal]
    activities: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Something that is missing or does not agree; `missing` counts slots, `sources` those of a
    lost file. Figures are those of a control total, in its `unit`.
    """

    kind: str
    stream: str
    subject: str
    facility_id: str | None
    begin: datetime
    end: datetime
    message: str
    missing: int = 0
    sources: tuple[str, ...] = ()
    stated: Decimal | None = None
    found: Decimal | None = None
    difference: Decimal | None = None
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """The answer for a period."""

    months: tuple[SourceMonth, ...]
    controls: int
    gaps: tuple[Gap, ...]

    @property
    def expected(self) -> int:
        """Slots that are due."""
        return sum(one.expected for one in self.months)

    @property
    def present(self) -> int:
        """Slots that are there."""
        return sum(one.present for one in self.months)

    @property
    def coverage_pct(self) -> Decimal | None:
        """Slots that are there, % of those due, rounded down to 2 decimals (None: none is due)."""
        if not self.expected:
            return None
        # Rounded down: 99.999 % is not complete.
        return Decimal(self.present * 10_000 // self.expected).scaleb(-2)

    @property
    def is_complete(self) -> bool:
        """Whether there is no gap."""
        return not self.gaps


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a local day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def months_of(begin: date, end: date) -> list[tuple[date, date]]:
    """The months of `[begin, end)`, each as its part of it."""
    found = []
    day = begin
    while day < end:
        following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        found.append((day, min(following, end)))
        day = following
    return found


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time as disjoint spans in order; what is empty is left out."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if begin >= end:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def source_month(
    source: ExpectedSource,
    begin: date,
    end: date,
    covered: Iterable[Span],
    zone: ZoneInfo,
    as_of: datetime,
) -> SourceMonth:
    """A source on the local days `[begin, end)` of a month; `covered` is when it has activities.

    Days before or after the source's validity and slots not due at `as_of` are not expected.
    """
    first = max(begin, source.valid_from)
    last = end if source.valid_to is None else min(end, source.valid_to)
    spans = merged(covered)
    due = as_of - timedelta(days=source.grace_days)
    if source.every == "interval":
        expected, lacking = _intervals(source, first, last, spans, zone, due)
    else:
        expected, lacking = _calendar_slots(source, first, last, spans, zone, due)
    missing = sum(one.slots for one in lacking)
    return SourceMonth(
        source=source,
        month=begin.replace(day=1),
        expected=expected,
        present=expected - missing,
        missing=tuple(lacking),
    )


def _intervals(
    source: ExpectedSource,
    first: date,
    last: date,
    spans: Sequence[Span],
    zone: ZoneInfo,
    due: datetime,
) -> tuple[int, list[Missing]]:
    """The number of intervals, and runs of those that are not wholly covered."""
    if first >= last:
        return 0, []
    length = timedelta(seconds=source.interval_seconds or 1)
    begin = midnight(first, zone)
    count = max(0, (min(midnight(last, zone), due) - begin) // length)
    end = begin + count * length
    runs: list[list[int]] = []
    at = begin
    for start, stop in [*spans, (end, end)]:
        start = min(start, end)
        if start > at:
            low, high = (at - begin) // length, -((begin - start) // length)
            if runs and low <= runs[-1][1]:
                runs[-1][1] = max(high, runs[-1][1])
            else:
                runs.append([low, high])
        at = max(at, stop)
    return count, [
        Missing(begin + low * length, begin + high * length, high - low) for low, high in runs
    ]


def _calendar_slots(
    source: ExpectedSource,
    first: date,
    last: date,
    spans: Sequence[Span],
    zone: ZoneInfo,
    due: datetime,
) -> tuple[int, list[Missing]]:
    """The number of days (or 1 for the month), and runs of those no activity meets."""
    edges = [first, last]
    if source.every == "day":
        edges = [first + timedelta(days=n) for n in range(max(0, (last - first).days) + 1)]
    if first >= last:
        return 0, []
    moments = [midnight(day, zone) for day in edges]
    expected, lacking = 0, list[Missing]()
    for begin, end in pairwise(moments):
        if end > due:
            break
        expected += 1
        if any(start < end and stop > begin for start, stop in spans):
            continue
        if lacking and lacking[-1].end == begin:
            lacking[-1] = Missing(lacking[-1].begin, end, lacking[-1].slots + 1)
        else:
            lacking.append(Missing(begin, end, 1))
    return expected, lacking


def judged(
    months: Sequence[SourceMonth],
    controls: Sequence[tuple[ControlTotal, Found]],
    zones: Mapping[str | None, ZoneInfo],
) -> Completeness:
    """Every gap of these source-months and control totals, in order of time.

    `zones` are those of the control totals' sites, by facility.
    """
    gaps = [*_source_gaps(months)]
    for control, found in controls:
        gap = control_gap(control, found, zones.get(control.facility_id, ZoneInfo("UTC")))
        if gap is not None:
            gaps.append(gap)
    gaps.sort(key=lambda one: (one.begin, one.kind, one.stream, one.subject))
    return Completeness(months=tuple(months), controls=len(controls), gaps=tuple(gaps))


def _source_gaps(months: Sequence[SourceMonth]) -> list[Gap]:
    files: dict[tuple[str, date], list[SourceMonth]] = defaultdict(list)
    for one in months:
        if one.source.arrives_in is not None and one.expected:
            files[one.source.arrives_in, one.month].append(one)
    lost = {
        place: members
        for place, members in files.items()
        if not any(one.present for one in members)
    }
    gaps = [_lost_file(name, members) for (name, _), members in sorted(lost.items())]
    for one in months:
        if one.missing and (one.source.arrives_in, one.month) not in lost:
            gaps += _gaps_of(one)
    return gaps


def _lost_file(name: str, members: Sequence[SourceMonth]) -> Gap:
    sources = tuple(sorted(one.source.source_id for one in members))
    missing = sum(one.expected for one in members)
    shown = ", ".join(sources[:5]) + (" …" if len(sources) > 5 else "")
    return Gap(
        kind=LOST_FILE,
        stream=members[0].source.stream,
        subject=name,
        facility_id=None,
        begin=min(one.missing[0].begin for one in members),
        end=max(one.missing[-1].end for one in members),
        missing=missing,
        sources=sources,
        message=f"the file of {name} for {members[0].month:%Y-%m} is missing: nothing of its "
        f"{len(sources)} source{'s' * (len(sources) > 1)} ({shown})",
    )


def _gaps_of(one: SourceMonth) -> list[Gap]:
    source = one.source
    word = {"interval": "intervals", "day": "days", "month": "month"}[source.every]
    kind = SILENT if not one.present else PARTLY
    if source.every == "month":
        kind = MISSING_MONTH
    found = []
    for run in one.missing:
        begin, end, missing = run.begin, run.end, run.slots
        if source.every == "month":
            told = f"{source.source_id} says nothing of {one.month:%Y-%m}"
        elif not one.present:
            told = f"{source.source_id} is silent in {one.month:%Y-%m}, all {missing} {word} of it"
        else:
            told = (
                f"{source.source_id} lacks {missing} of {one.expected} {word} of "
                f"{one.month:%Y-%m}, from {_shown(begin)} to {_shown(end)}"
            )
        found.append(
            Gap(
                kind=kind,
                stream=source.stream,
                subject=source.source_id,
                facility_id=source.facility_id,
                begin=begin,
                end=end,
                missing=missing,
                message=told,
            )
        )
    return found


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"


def control_gap(control: ControlTotal, found: Found, zone: ZoneInfo) -> Gap | None:
    """What a control total and the ledger do not agree on beyond the tolerance, or None.

    Sums in other units of the same dimension are converted; money of another currency, and what has
    no such unit, is not compared, and is said.
    """
    total, compared, others = Fraction(0), 0, list[str]()
    for unit, quantity in sorted(found.sums.items()):
        factor = _factor(unit, control.unit)
        if factor is None:
            others.append(f"{found.activities[unit]} activities in {unit or 'no unit'}")
            continue
        total += Fraction(quantity) * factor
        compared += found.activities[unit]
    difference = total - Fraction(control.quantity)
    share = abs(Fraction(control.quantity)) * Fraction(control.tolerance_pct) / 100
    if abs(difference) <= max(share, Fraction(control.tolerance_quantity)):
        return None
    end = control.valid_to or control.valid_from
    subject = control.source_id or control.activity_type or control.facility_id or "everything"
    ledger, less = posted_fraction(total), posted_fraction(difference)
    beside = f"; not compared: {', '.join(others)}" if others else ""
    return Gap(
        kind=DIFFERS if compared or not others else INCOMPARABLE,
        stream=control.stream,
        subject=control.control_id,
        facility_id=control.facility_id,
        begin=midnight(control.valid_from, zone),
        end=midnight(end, zone),
        stated=control.quantity,
        found=ledger,
        difference=less,
        unit=control.unit,
        message=f"{control.kind} {control.control_id} of {subject}, {control.valid_from} to {end} "
        f"(exclusive): stated {canonical_text(control.quantity)} {control.unit}, ledger "
        f"{canonical_text(ledger)} {control.unit} of {compared} activities, difference "
        f"{canonical_text(less)} {control.unit}{beside}",
    )


def _factor(unit: str, target: str) -> Fraction | None:
    if unit == target:
        return Fraction(1)
    try:
        return ratio(unit, target)
    except RejectedRecord:
        return None


NOTHING: Final = Found(sums={}, activities={})
