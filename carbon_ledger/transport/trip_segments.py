"""Segments of a trip that overlap, and fuel that no trip accounts for.

Belongs here: which share of a segment counts, fuel cards against telematics. Does not: what a
segment emits (carbon_ledger.transport.vehicles).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from carbon_ledger.data_quality import DEFAULT_SCORES
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.greenhouse import Gases
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from carbon_ledger.transport.vehicles import lines_of_trip
from carbon_ledger.workings import Operand, Term, Working

Interval = tuple[Decimal, Decimal]


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedSegment:
    """A segment and the part of it that counts: kilometres no earlier segment has covered."""

    event: VehicleTelemetryEvent
    share: tuple[Operand, ...] = ()
    flags: frozenset[str] = frozenset()

    @property
    def exact_share(self) -> Fraction:
        """The share that counts, 0 to 1."""
        return Term(operands=self.share).exact()


def counted_segments(events: Iterable[VehicleTelemetryEvent]) -> tuple[CountedSegment, ...]:
    """Each kilometre of a trip's odometer once, by segment number; the order given is no matter.

    Of several revisions of a segment the highest counts. Segment 0 is the trip reported whole, so
    it covers the others. A segment without odometer counts in full, flagged `odometer_missing`
    where there are others, unless the whole trip is there. Fuel is spread evenly over a segment's
    kilometres. Codes: `segments_of_several_trips`, `segment_stated_twice`.
    """
    segments = _latest(events)
    covered: list[Interval] = []
    counted: list[CountedSegment] = []
    has_whole = bool(segments) and segments[0].segment == 0
    for event in segments:
        start, end = event.odometer_start_km, event.odometer_end_km
        if has_whole and event.segment > 0:
            counted.append(_none_of(event, "covered_by_whole_trip"))
        elif start is None or end is None:
            flags = {"odometer_missing"} if len(segments) > 1 else set()
            counted.append(CountedSegment(event=event, flags=frozenset(flags)))
        else:
            counted.append(_uncovered(event, (start, end), covered))
            covered = _united(covered, (start, end))
    return tuple(counted)


def lines_of_segments(
    events: Iterable[VehicleTelemetryEvent], inventory: Inventory
) -> tuple[EmissionLine, ...]:
    """The lines of all segments of a trip, each by the share of it that counts."""
    lines: list[EmissionLine] = []
    for one in counted_segments(events):
        for line in lines_of_trip(one.event, inventory, one.share):
            lines.append(replace(line, flags=tuple(sorted({*line.flags, *one.flags}))))
    return tuple(lines)


def _latest(events: Iterable[VehicleTelemetryEvent]) -> list[VehicleTelemetryEvent]:
    events = tuple(events)
    trips = {(event.vehicle_id, event.trip_id) for event in events}
    if len(trips) > 1:
        raise RejectedRecord(
            "segments_of_several_trips",
            "segments are told apart within one trip of one vehicle",
            field="trip_id",
            value=", ".join(f"{vehicle}@{trip}" for vehicle, trip in sorted(trips)),
            valid="segments of one trip",
        )
    latest: dict[int, VehicleTelemetryEvent] = {}
    stated: dict[tuple[int, int], VehicleTelemetryEvent] = {}
    for event in events:
        if stated.setdefault((event.segment, event.revision), event) != event:
            raise RejectedRecord(
                "segment_stated_twice",
                f"segment {event.segment} revision {event.revision} is there with other values",
                field="segment",
                value=event.event_id,
                valid="a higher revision for a correction",
            )
        known = latest.get(event.segment)
        if known is None or known.revision < event.revision:
            latest[event.segment] = event
    return [latest[number] for number in sorted(latest)]


def _none_of(event: VehicleTelemetryEvent, flag: str) -> CountedSegment:
    nothing = Operand(value=Decimal(0), unit="share", label="share that counts", source=flag)
    return CountedSegment(event=event, share=(nothing,), flags=frozenset({flag}))


def _uncovered(
    event: VehicleTelemetryEvent, own: Interval, covered: Sequence[Interval]
) -> CountedSegment:
    """The share of a segment outside what is covered; one that goes nowhere counts in full."""
    length = PRODUCT.subtract(own[1], own[0])
    overlap = Decimal(0)
    for start, end in covered:
        shared = PRODUCT.subtract(min(end, own[1]), max(start, own[0]))
        overlap = PRODUCT.add(overlap, max(shared, Decimal(0)))
    if not length or not overlap:
        return CountedSegment(event=event)
    share = (
        Operand(
            value=PRODUCT.subtract(length, overlap),
            unit="km",
            label="km of the segment that no earlier one covers",
            source="odometers of the trip's segments",
        ),
        Operand(
            value=length,
            unit="km",
            label="km of the segment",
            source=event.event_id,
            divides=True,
        ),
    )
    return CountedSegment(event=event, share=share, flags=frozenset({"segments_overlap"}))


def _united(covered: Sequence[Interval], added: Interval) -> list[Interval]:
    """The union of intervals that do not overlap and one more, in order."""
    united: list[Interval] = []
    start, end = added
    for one in covered:
        if one[1] < start or one[0] > end:
            united.append(one)
        else:
            start, end = min(start, one[0]), max(end, one[1])
    return sorted([*united, (start, end)])


# ---- fuel cards


@dataclass(frozen=True, kw_only=True, slots=True)
class FuelPeriod:
    """Litres of a vehicle in a period by its fuel card, and by telematics: the sum of its trips."""

    vehicle_id: str
    country_iso2: str
    vehicle_class: str
    fuel_type: str
    card_litres: Decimal
    telematics_litres: Decimal
    period_from: datetime
    interval_seconds: int
    operator: str = "own"
    facility_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FuelReconciliation:
    """Litres bought less litres measured, and the lines of those that no trip accounts for."""

    difference_litres: Decimal
    lines: tuple[EmissionLine, ...]
    flags: frozenset[str]


def reconcile_fuel(period: FuelPeriod, inventory: Inventory) -> FuelReconciliation:
    """Fuel bought that telematics did not see, as estimate lines flagged `unallocated_fuel`.

    Where telematics saw more than was bought nothing is posted, and nothing taken off: it is
    flagged `telematics_exceeds_card` (fuel from elsewhere, or a tank that was full before). Codes
    as for lines_of_trip.
    """
    bought = _event_of(period, period.card_litres)
    seen = _event_of(period, period.telematics_litres)
    for event in (bought, seen):
        event.check(inventory.now)
    difference = PRODUCT.subtract(period.card_litres, period.telematics_litres)
    if difference <= 0:
        flags = {"telematics_exceeds_card"} if difference else set()
        return FuelReconciliation(difference_litres=difference, lines=(), flags=frozenset(flags))
    lines = tuple(
        _difference(more, less, difference)
        for more, less in zip(
            lines_of_trip(bought, inventory), lines_of_trip(seen, inventory), strict=True
        )
    )
    return FuelReconciliation(
        difference_litres=difference, lines=lines, flags=frozenset({"unallocated_fuel"})
    )


def _event_of(period: FuelPeriod, litres: Decimal) -> VehicleTelemetryEvent:
    return VehicleTelemetryEvent(
        vehicle_id=period.vehicle_id,
        trip_id="unallocated",
        country_iso2=period.country_iso2,
        vehicle_class=period.vehicle_class,
        operator=period.operator,
        facility_id=period.facility_id,
        fuel_type=period.fuel_type,
        fuel_litres=litres,
        timestamp=period.period_from,
        interval_seconds=period.interval_seconds,
    )


def _difference(more: EmissionLine, less: EmissionLine, litres: Decimal) -> EmissionLine:
    """The line of what is in one and not in the other, by the same factors."""
    working = _subtracted(more.working, less.working)
    gases = {
        gas: _subtracted(one, other)
        for (gas, one), (_, other) in zip(more.gas_workings, less.gas_workings, strict=True)
    }
    return replace(
        more,
        activity_type=more.activity_type.replace("vehicle_fuel", "unallocated_fuel"),
        quantity=litres,
        working=working,
        kgco2e=working.posted(),
        gas_workings=tuple(gases.items()),
        gases=Gases.of({gas: one.posted() for gas, one in gases.items()}),
        activity_scores=DEFAULT_SCORES["fuel_card"],
        flags=tuple(sorted({*more.flags, "estimate", "unallocated_fuel"})),
    )


def _subtracted(more: Working, less: Working) -> Working:
    bought = tuple(replace(one, label=_joined("fuel card", one.label)) for one in more.terms)
    seen = tuple(
        replace(one, label=_joined("telematics", one.label), sign=-one.sign) for one in less.terms
    )
    return replace(more, terms=(*bought, *seen))


def _joined(first: str, second: str) -> str:
    return f"{first}, {second}" if second else first
