"""Transport work of a leg: its mass times its distance, of the kind the intensity is per.

Belongs here: mass and TEU, kinds of distance and their adjustment. Does not: the intensity
(carbon_ledger.transport.freight_vocabulary), the figure (carbon_ledger.transport.shipments).

Transport work is counted on the shortest feasible or the great circle distance. Where an intensity
is per kilometre driven, such a distance is adjusted by mode; never twice, and never back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.policy import Policy
from carbon_ledger.transport.country_places import (
    PLACES_SOURCE,
    check_reachable,
    country_distance_km,
    place_of_country,
)
from carbon_ledger.transport.freight_vocabulary import AIR, RAIL, ROAD, SEA, DistanceBasis
from carbon_ledger.transport.great_circle import great_circle_km
from carbon_ledger.transport.shipment_events import ACTUAL, GREAT_CIRCLE, SHORTEST, ShipmentEvent
from carbon_ledger.workings import Operand

# GLEC Framework v3 and ISO 14083:2023, distance adjustment.
AIR_DETOUR_KM: Final = Decimal(95)
ADJUSTMENT_SOURCE: Final = (
    "ISO 14083:2023 and GLEC Framework v3, distance adjustment; not checked against the source's "
    "text"
)
# On a line whose distance is one between countries, not between places.
BETWEEN_COUNTRIES: Final = "distance_between_countries"
# Carriers round the tonne-kilometres they state.
_WORK_TOLERANCE: Final = Fraction(1, 200)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """The transport work of a leg as chains of operands: a figure is their sum times a factor.

    The product of each chain is in `unit`. More than one chain: a distance that is longer by a
    fixed number of kilometres.
    """

    chains: tuple[tuple[Operand, ...], ...]
    unit: str
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Distance:
    km: Decimal
    kind: str
    label: str
    source: str
    flags: frozenset[str] = frozenset()


def transport_work(event: ShipmentEvent, basis: DistanceBasis, policy: Policy) -> Work:
    """The tonne-kilometres of a leg for an intensity per kilometres of `basis`.

    Those a carrier states are of the distance kind it states, else of the shortest way (iLEAP).
    Where nothing tells the distance, it is estimated between the countries, flagged.
    Codes: `mass_missing`, `distance_kind_mismatch`, `distance_adjustment_missing`, and those of
    carbon_ledger.transport.country_places.check_reachable.
    """
    if event.distance_km is None and event.transport_activity_tkm is not None:
        stated = Operand(
            value=event.transport_activity_tkm,
            unit="tkm",
            label="transport activity as the carrier states it",
            source=event.event_id,
        )
        kind = event.distance_kind or SHORTEST
        chains, flags = _adjusted((stated,), kind, event, basis, policy, _no_fixed_detour)
        return Work(chains=chains, unit="tkm", flags=flags | {"transport_activity_as_stated"})
    load, unit, load_flags = _mass(event, policy)
    distance = _distance(event)

    def with_km(km: Decimal, label: str, source: str) -> tuple[Operand, ...]:
        return (*load, Operand(value=km, unit="km", label=label, source=source))

    chain = with_km(distance.km, distance.label, distance.source)
    chains, flags = _adjusted(chain, distance.kind, event, basis, policy, with_km)
    flags |= load_flags | distance.flags | _work_flags(event, distance)
    return Work(chains=chains, unit=unit, flags=flags)


def container_work(event: ShipmentEvent, basis: DistanceBasis, policy: Policy) -> Work:
    """The TEU-kilometres of a leg; raises as transport_work, and `teu_missing`."""
    if event.teu is None:
        raise RejectedRecord(
            "teu_missing",
            "teu: the intensity is per container, but how many is not stated",
            field="teu",
            valid="twenty-foot equivalent units: 1 for 20 ft, 2 for 40 ft, 2.25 for 45 ft",
        )
    distance = _distance(event)
    load = Operand(value=event.teu, unit="TEU", label="containers", source=event.event_id)

    def with_km(km: Decimal, label: str, source: str) -> tuple[Operand, ...]:
        return (load, Operand(value=km, unit="km", label=label, source=source))

    chain = with_km(distance.km, distance.label, distance.source)
    chains, flags = _adjusted(chain, distance.kind, event, basis, policy, with_km)
    return Work(chains=chains, unit="TEU_km", flags=flags | distance.flags)


def mass_operands(event: ShipmentEvent, policy: Policy) -> tuple[tuple[Operand, ...], str]:
    """The load as operands and the unit of their product; code `mass_missing`."""
    load, unit, _ = _mass(event, policy)
    return load, "kg" if unit == "kgkm" else "t"


def _mass(event: ShipmentEvent, policy: Policy) -> tuple[tuple[Operand, ...], str, frozenset[str]]:
    if event.mass_kg is not None:
        mass = Operand(value=event.mass_kg, unit="kg", label="gross mass", source=event.event_id)
        flags = {"mass_looks_volumetric"} if event.looks_volumetric() else set()
        return (mass,), "kgkm", frozenset(flags)
    if event.teu is None:
        raise RejectedRecord(
            "mass_missing",
            "mass_kg: neither the gross mass nor containers are stated",
            field="mass_kg",
            valid="kg gross, or teu",
        )
    containers = Operand(value=event.teu, unit="TEU", label="containers", source=event.event_id)
    average = Operand(
        value=policy.tonnes_per_teu,
        unit="t per TEU",
        label="average load of a container",
        source="policy tonnes_per_teu",
    )
    return (containers, average), "tkm", frozenset({"mass_from_teu"})


def _distance(event: ShipmentEvent) -> _Distance:
    if event.distance_km is not None and event.distance_kind is not None:
        words = event.distance_kind.replace("_", " ")
        return _Distance(
            km=event.distance_km,
            kind=event.distance_kind,
            label=f"{words} distance",
            source=event.event_id,
        )
    where = (
        event.origin_latitude,
        event.origin_longitude,
        event.destination_latitude,
        event.destination_longitude,
    )
    known = [degrees for degrees in where if degrees is not None]
    if len(known) < len(where):
        return _between_countries(event)
    return _Distance(
        km=great_circle_km(*known),
        kind=GREAT_CIRCLE,
        label="great circle distance between the coordinates stated",
        source=event.event_id,
        flags=frozenset({"distance_estimated"}),
    )


def _between_countries(event: ShipmentEvent) -> _Distance:
    """The last resort, flagged: the way between two countries, nothing of the places in them."""
    origin, destination = event.origin[:2], event.destination[:2]
    check_reachable(origin, destination, event.mode)
    cities = [place.city for code in (origin, destination) if (place := place_of_country(code))]
    return _Distance(
        km=country_distance_km(origin, destination),
        kind=GREAT_CIRCLE,
        label=f"great circle distance between the countries ({' to '.join(cities)})",
        source=PLACES_SOURCE,
        flags=frozenset({"distance_estimated", BETWEEN_COUNTRIES}),
    )


def _no_fixed_detour(km: Decimal, label: str, source: str) -> tuple[Operand, ...]:
    raise RejectedRecord(
        "distance_missing",
        "distance_km: flights are adjusted by a distance, which tonne-km alone do not tell",
        field="distance_km",
        valid="km with their kind",
    )


def _adjusted(
    chain: tuple[Operand, ...],
    kind: str,
    event: ShipmentEvent,
    basis: DistanceBasis,
    policy: Policy,
    with_km: Callable[[Decimal, str, str], tuple[Operand, ...]],
) -> tuple[tuple[tuple[Operand, ...], ...], frozenset[str]]:
    """The chain with the adjustment that its kind of distance needs for an intensity of `basis`."""
    if basis == "actual" and kind == ACTUAL:
        return (chain,), frozenset()
    if kind == ACTUAL:
        raise RejectedRecord(
            "distance_kind_mismatch",
            "distance_kind: the intensity is per km of the shortest way, so km driven would count "
            "the detour twice",
            field="distance_kind",
            value=kind,
            valid=f"{SHORTEST}, {GREAT_CIRCLE}",
        )
    if basis == "adjusted":
        return (chain,), frozenset({"daf_included"})
    if basis == "shortest":
        return (chain,), frozenset()
    if event.mode == AIR:
        detour = with_km(AIR_DETOUR_KM, "fixed detour of flights", ADJUSTMENT_SOURCE)
        return (chain, detour), frozenset({"daf_applied"})
    factors = {ROAD: policy.road_daf, SEA: policy.sea_daf, RAIL: Decimal(1)}
    factor = factors.get(event.mode)
    if factor is None:
        raise RejectedRecord(
            "distance_adjustment_missing",
            f"distance_kind: no adjustment to km driven is known for {event.mode}",
            field="distance_kind",
            value=kind,
            valid=ACTUAL,
        )
    adjustment = Operand(
        value=factor,
        unit="km per km",
        label=f"distance adjustment for {event.mode}",
        source=ADJUSTMENT_SOURCE,
    )
    flags = {"daf_applied"} | ({"daf_on_great_circle"} if kind == GREAT_CIRCLE else set())
    return ((*chain, adjustment),), frozenset(flags)


def _work_flags(event: ShipmentEvent, distance: _Distance) -> frozenset[str]:
    """Whether the tonne-km the carrier states are mass times distance (iLEAP 1.0.0)."""
    if event.transport_activity_tkm is None or event.mass_kg is None:
        return frozenset()
    expected = Fraction(event.mass_kg) * Fraction(distance.km) / 1000
    gap = abs(Fraction(event.transport_activity_tkm) - expected)
    is_near = gap <= _WORK_TOLERANCE * expected
    return frozenset() if is_near else frozenset({"transport_activity_mismatch"})


def at_hub(event: ShipmentEvent) -> Work:
    """The volume a hub stored for how long, in m3 x days; code `storage_missing`."""
    if event.volume_m3 is None or event.days_stored is None:
        raise RejectedRecord(
            "storage_missing",
            "days_stored: the intensity is per m3 and day, but one of them is not stated",
            field="days_stored" if event.days_stored is None else "volume_m3",
            valid="volume_m3 and days_stored",
        )
    chain = (
        Operand(value=event.volume_m3, unit="m3", label="volume stored", source=event.event_id),
        Operand(value=event.days_stored, unit="day", label="days stored", source=event.event_id),
    )
    return Work(chains=(chain,), unit="m3_day")
