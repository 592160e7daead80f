"""Shipments of several legs, and vehicles that carry several shipments.

Belongs here: whether the legs of a shipment join up, the estimate of one that is missing, the
sharing of a run among what it carried. Does not: the figure of one leg (shipments) or
of the run (carbon_ledger.transport.vehicles).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from carbon_ledger.activities.shares import Output, allocate
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.transport.shipment_events import (
    ACTUAL,
    CANCELLED,
    DELIVERED,
    GREAT_CIRCLE,
    ShipmentEvent,
)
from carbon_ledger.transport.shipments import lines_of_leg
from carbon_ledger.workings import Operand


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainGap:
    """Two legs that follow each other although the first does not end where the second begins."""

    before: ShipmentEvent
    after: ShipmentEvent

    @property
    def leg_id(self) -> str:
        """The id of the leg that is missing, as it is estimated."""
        return f"{self.before.leg_id}+{self.after.leg_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """The legs of a shipment in their order, what is missing between them, and remarks."""

    legs: tuple[ShipmentEvent, ...]
    gaps: tuple[ChainGap, ...]
    flags: frozenset[str]


def chain_of(events: Iterable[ShipmentEvent]) -> Chain:
    """The chain of one shipment: the highest revision of each leg that was not cancelled.

    Legs follow each other by departure, then by leg id; the order given is no matter. Flags:
    `chain_not_delivered` (a leg is still on its way), `mass_changes_along_chain`, `leg_repeated`
    (the same way twice). Codes: `legs_of_several_shipments`, `leg_stated_twice`.
    """
    events = tuple(events)
    shipments = {event.shipment_id for event in events}
    if len(shipments) > 1:
        raise _refused(
            "legs_of_several_shipments",
            "shipment_id",
            ", ".join(sorted(shipments)),
            "legs of one shipment",
        )
    latest: dict[str, ShipmentEvent] = {}
    stated: dict[tuple[str, int], ShipmentEvent] = {}
    for event in events:
        if stated.setdefault((event.leg_id, event.revision), event) != event:
            raise _refused(
                "leg_stated_twice", "leg_id", event.event_id, "a higher revision for a new state"
            )
        known = latest.get(event.leg_id)
        if known is None or known.revision < event.revision:
            latest[event.leg_id] = event
    legs = sorted(
        (leg for leg in latest.values() if leg.status != CANCELLED),
        key=lambda leg: (leg.timestamp, leg.occurred_to, leg.leg_id),
    )
    gaps = tuple(
        ChainGap(before=before, after=after)
        for before, after in pairwise(legs)
        if not _is_same_place(before.destination, after.origin)
    )
    return Chain(legs=tuple(legs), gaps=gaps, flags=_remarks(legs))


def lines_of_shipment(
    events: Iterable[ShipmentEvent],
    inventory: Inventory,
    *,
    missing_mode: str | None = None,
    missing_class: str | None = None,
) -> tuple[EmissionLine, ...]:
    """The lines of every leg and hub, and an estimate for each leg that is missing.

    A missing leg goes by `missing_mode` and `missing_class`, by the great circle between the
    coordinates of its ends; where either is not known it is refused (`leg_missing`,
    `distance_missing`), never left out.
    """
    chain = chain_of(events)
    lines = [
        replace(line, flags=tuple(sorted({*line.flags, *chain.flags})))
        for leg in chain.legs
        for line in lines_of_leg(leg, inventory)
    ]
    for gap in chain.gaps:
        if missing_mode is None:
            raise _refused(
                "leg_missing",
                "leg_id",
                f"{gap.before.destination} to {gap.after.origin}",
                "the leg between them, or the mode to estimate it by",
            )
        lines += lines_of_gap(gap, inventory, mode=missing_mode, operation_class=missing_class)
    return tuple(lines)


def lines_of_gap(
    gap: ChainGap,
    inventory: Inventory,
    *,
    mode: str,
    operation_class: str | None = None,
    great_circle_km: Decimal | None = None,
) -> tuple[EmissionLine, ...]:
    """The estimate of a missing leg, flagged `missing_leg_estimated`.

    Its distance is the great circle between where the leg before ended and the next began, or the
    one given. A chain whose next leg has not been delivered is not estimated: one line of 0 kg.
    """
    before, after = gap.before, gap.after
    event = ShipmentEvent(
        shipment_id=before.shipment_id,
        leg_id=gap.leg_id,
        status=after.status if before.status == DELIVERED else before.status,
        mode=mode,
        operation_class=operation_class,
        facility_id=before.facility_id,
        origin=before.destination,
        destination=after.origin,
        mass_kg=before.mass_kg,
        mass_kind=before.mass_kind,
        volume_m3=before.volume_m3,
        teu=before.teu,
        distance_km=great_circle_km,
        distance_kind=None if great_circle_km is None else GREAT_CIRCLE,
        is_refrigerated=before.is_refrigerated or after.is_refrigerated,
        payer=before.payer,
        incoterm=before.incoterm,
        timestamp=before.occurred_to,
        origin_latitude=before.destination_latitude,
        origin_longitude=before.destination_longitude,
        destination_latitude=after.origin_latitude,
        destination_longitude=after.origin_longitude,
    )
    event.check(inventory.now)
    return tuple(
        replace(line, flags=tuple(sorted({*line.flags, "estimate", "missing_leg_estimated"})))
        for line in lines_of_leg(event, inventory)
    )


def _is_same_place(one: str, other: str) -> bool:
    """A country stands for any place in it: of more is not known that it is another."""
    return one == other or (min(len(one), len(other)) == 2 and one[:2] == other[:2])


def _remarks(legs: Sequence[ShipmentEvent]) -> frozenset[str]:
    flags: set[str] = set()
    if any(leg.status != DELIVERED for leg in legs):
        flags.add("chain_not_delivered")
    masses = {leg.mass_kg for leg in legs if leg.mass_kg is not None}
    if len(masses) > 1:
        flags.add("mass_changes_along_chain")
    ways = [(leg.mode, leg.origin, leg.destination) for leg in legs]
    if len(set(ways)) < len(ways):
        flags.add("leg_repeated")
    return frozenset(flags)


def _refused(code: str, field: str, value: str, valid: str) -> RejectedRecord:
    return RejectedRecord(
        code, f"{field}: {value}: {code.replace('_', ' ')}", field=field, value=value, valid=valid
    )


# ---- shared vehicles


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedLoad:
    """One consignment of a run: its gross mass and the distance it is allocated by."""

    load_id: str
    mass_kg: Decimal
    distance_km: Decimal
    distance_kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunShare:
    """The share of a run that a load bears, as operands, and what is remarkable about the key."""

    operands: tuple[Operand, ...]
    flags: frozenset[str]


def shares_of_run(loads: Sequence[SharedLoad]) -> dict[str, RunShare]:
    """Each load's share of a run by mass x distance; the shares sum to exactly one.

    ISO 14083 allocates by shortest feasible or great circle distance, so that a detour is borne by
    all; by km driven it is flagged `allocated_by_driven_distance`. Codes: `mixed_distance_kinds`,
    and those of carbon_ledger.activities.shares.allocate.
    """
    kinds = {load.distance_kind for load in loads}
    if len(kinds) > 1:
        raise _refused(
            "mixed_distance_kinds",
            "distance_kind",
            ", ".join(sorted(kinds)),
            "one kind of distance for all loads of a run",
        )
    outputs = [
        Output(name=load.load_id, amount=PRODUCT.multiply(load.mass_kg, load.distance_km))
        for load in loads
    ]
    flags = {"allocated_by_driven_distance"} if ACTUAL in kinds else set()
    return {
        name: RunShare(operands=operands, flags=frozenset(flags))
        for name, operands in allocate(outputs, key="transport_work", unit="kgkm").items()
    }
