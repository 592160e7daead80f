"""What a trip emits: whose vehicle it is decides the scope, and fuel comes before distance.

Belongs here: the lines of one trip or segment, from its fuel or its distance. Does not: the event
(vehicle_events), control (vehicle_control), electricity
(vehicle_power), overlapping segments and fuel cards (trip_segments).

Fuel in litres comes before kWh, kWh before distance; a plug-in hybrid has fuel and kWh. A vehicle
the company controls emits in scope 1 (fuel) and scope 2 (electricity), with the upstream of either
in category 3; any other vehicle is one line of scope 3 from well to wheel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.use import weigh
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.organisation.categories import DISTANCE_BASED, FUEL_BASED
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reference.records import Vehicle
from carbon_ledger.transport.parts import Part, local_day, memo, part
from carbon_ledger.transport.trip_lines import (
    UPSTREAM_MISSING,
    Driven,
    Measure,
    Trip,
    by_control,
    driven,
)
from carbon_ledger.transport.vehicle_control import control_of
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from carbon_ledger.transport.vehicle_power import (
    charging_place,
    counted_by_meter,
    power_lines,
    power_lines_by_distance,
)
from carbon_ledger.transport.vocabulary import (
    US,
    VEHICLE_CLASSES,
    DistanceAsks,
    Fuel,
    FuelType,
    distance_asks,
    fuel,
    fuel_type,
    us_methane_ask,
    vehicle_class,
)
from carbon_ledger.workings import Operand


def lines_of_trip(
    event: VehicleTelemetryEvent, inventory: Inventory, share: Sequence[Operand] = ()
) -> tuple[EmissionLine, ...]:
    """The lines of a trip, or of the `share` of it that no other segment has covered.

    Of a plug-in hybrid either energy may be missing: that is flagged `fuel_not_stated` or
    `electricity_not_stated`, because nothing stands in for it.
    Codes: `activity_missing`, `fuel_type_missing`, `unknown_fuel_type`, `fuel_contradicts_type`,
    `biofuel_share_contradicts_fuel`, `unknown_vehicle_class`, `distance_factor_missing`,
    `lease_kind_unknown`, `charging_place_missing`, `upstream_factor_missing`, and those of the
    factor book.
    """
    trip = _trip(event, inventory, tuple(share))
    kind = trip.kind
    has_plug = kind is not None and kind.has_plug
    lines: list[EmissionLine] = []
    if event.fuel_litres is not None and not (kind and kind.blend is None):
        flags: set[str] = set()
        if event.energy_kwh is not None and not has_plug:
            flags.add("energy_beside_fuel_not_posted")
        elif event.energy_kwh is None and has_plug:
            flags.add("electricity_not_stated")
        lines += _fuel_lines(trip, flags)
        if event.energy_kwh is not None and has_plug:
            lines += power_lines(trip)
    elif event.energy_kwh is not None:
        if kind is not None and not has_plug:
            raise _contradiction("energy_kwh", event.energy_kwh, kind)
        if kind is not None and kind.blend is not None:
            trip = replace(trip, flags=trip.flags | {"fuel_not_stated"})
        lines += power_lines(trip)
    else:
        lines += _distance_lines(trip)
    return tuple(lines)


def _trip(event: VehicleTelemetryEvent, inventory: Inventory, share: tuple[Operand, ...]) -> Trip:
    on = local_day(event.timestamp, event.facility_id, inventory)
    vehicle = inventory.register.vehicle(event.vehicle_id, on)
    control = control_of(event, vehicle, inventory.policy)
    registered = vehicle.fuel if vehicle is not None else None
    name = event.fuel_type or registered
    kind = None if name is None else fuel_type(name)
    if kind is not None and kind.blend is None and event.fuel_litres:
        raise _contradiction("fuel_litres", event.fuel_litres, kind)
    if kind is None and event.fuel_litres is not None:
        raise RejectedRecord(
            "fuel_type_missing",
            "fuel_type: litres are stated, but not of what",
            field="fuel_type",
            valid="the fuel that was burnt, in the event or in the register",
        )
    flags = set(control.flags)
    if vehicle is not None and vehicle.vehicle_class != event.vehicle_class:
        flags.add("vehicle_class_differs")
    if registered is not None and registered != name:
        flags.add("fuel_type_differs")
    trip = Trip(
        event=event,
        inventory=inventory,
        on=on,
        control=control,
        kind=kind,
        share=share,
        flags=frozenset(flags),
    )
    return replace(trip, flags=trip.flags | _rate_flags(trip, vehicle))


def _contradiction(field: str, value: Decimal, kind: FuelType) -> RejectedRecord:
    return RejectedRecord(
        "fuel_contradicts_type",
        f"{field}: a vehicle on {kind.name} does not use {value} of this",
        field=field,
        value=value,
        valid="the energy a vehicle of this fuel_type uses",
    )


# ---- fuel by the litre


def fuel_shares(
    kind: FuelType, biofuel_share: Decimal | None, country_iso2: str, source: str
) -> list[tuple[Fuel, tuple[Operand, ...]]]:
    """The pure fuels, or the published blend, that litres are made of, each with its share.

    Without a stated share the fuel is what its name says: for diesel and petrol the blend at the
    country's pumps. Raises RejectedRecord `biofuel_share_contradicts_fuel`, `unknown_fuel_type`.
    """
    if biofuel_share is None and kind.blend is not None:
        return [(fuel(kind.blend, country_iso2), ())]
    if biofuel_share is None or kind.mineral is None or (kind.bio is None and biofuel_share):
        raise RejectedRecord(
            "biofuel_share_contradicts_fuel",
            f"biofuel_share: {biofuel_share} of {kind.name} cannot be biofuel",
            field="biofuel_share",
            value=biofuel_share,
            valid="no share, or a fuel that is blended",
        )
    split = [
        (kind.mineral, PRODUCT.subtract(Decimal(1), biofuel_share), "mineral share of the litres")
    ]
    if kind.bio is not None:
        split.append((kind.bio, biofuel_share, "biofuel share of the litres"))
    return [
        (
            fuel(name, country_iso2),
            (Operand(value=value, unit="share", label=label, source=source),),
        )
        for name, value, label in split
        if value
    ]


def burnt(
    one: Fuel, activity: Sequence[Operand], country: str, on: date, inventory: Inventory
) -> list[Part]:
    """Combustion of litres of a fuel, and its biogenic carbon dioxide as a part of memo gases."""
    match = one.combustion.find(country, on, inventory)
    parts = [part("combustion", activity, "L", match, inventory)]
    if one.biogenic is not None:
        outside = one.biogenic.find(country, on, inventory)
        parts.append(memo(part("biogenic carbon dioxide", activity, "L", outside, inventory)))
    return parts


def upstream_of(
    one: Fuel, activity: Sequence[Operand], country: str, on: date, inventory: Inventory
) -> Part | None:
    """The well-to-tank part of litres of a fuel; None if nothing is published for them."""
    match = one.upstream.find_if_published(country, on, inventory)
    return None if match is None else part("well to tank", activity, "L", match, inventory)


def _fuel_lines(trip: Trip, flags: set[str]) -> list[EmissionLine]:
    event, kind = trip.event, trip.kind
    litres = event.fuel_litres
    if kind is None or litres is None:
        return []
    stated = Operand(value=litres, unit="L", label="fuel burnt", source=event.event_id)
    lines: list[EmissionLine] = []
    for number, (one, blend) in enumerate(
        fuel_shares(kind, event.biofuel_share, trip.country, event.event_id)
    ):
        activity = (stated, *blend, *trip.share)
        where = (trip.country, trip.on, trip.inventory)
        parts = burnt(one, activity, *where)
        its_flags = set(flags)
        # Per vehicle-mile, whatever the fuel is blended of: once for the trip.
        if trip.country == US and number == 0:
            methane = _us_methane(trip, kind)
            if methane is None:
                its_flags.add("ch4_n2o_missing")
            else:
                parts.append(methane)
        measure = Measure(
            activity_type=f"vehicle_fuel:{one.name}",
            quantity=litres,
            unit="L",
            method=FUEL_BASED,
            flags=frozenset(its_flags),
        )
        lines += by_control(trip, parts, upstream_of(one, activity, *where), measure)
    return lines


def _us_methane(trip: Trip, kind: FuelType) -> Part | None:
    """Methane and nitrous oxide of a US vehicle by distance; None where that is not known."""
    event = trip.event
    distance = driven(event, trip.inventory.policy.road_daf)
    row = VEHICLE_CLASSES.get(event.vehicle_class)
    ask = None if row is None else us_methane_ask(row, kind, event.model_year)
    if ask is None or distance is None:
        return None
    match = ask.find_if_published(trip.country, trip.on, trip.inventory)
    if match is None:
        return None
    activity = (*distance.operands("vkm", event.event_id), *trip.share)
    return part("methane and nitrous oxide", activity, "vkm", match, trip.inventory)


# ---- distance


def _distance_lines(trip: Trip) -> list[EmissionLine]:
    event = trip.event
    distance = driven(event, trip.inventory.policy.road_daf)
    if distance is None:
        raise RejectedRecord(
            "activity_missing",
            "neither fuel, electricity nor distance is stated",
            field="distance_km",
            valid="fuel_litres, energy_kwh, distance_km, both odometer readings or "
            "position_distance_km",
        )
    row = vehicle_class(event.vehicle_class)
    asks = distance_asks(row, trip.kind, trip.country)
    measure = Measure(
        activity_type=f"vehicle_distance:{row.name}",
        quantity=distance.km,
        unit="km",
        method=DISTANCE_BASED,
        flags=distance.flags | ({"fuel_type_unknown"} if trip.kind is None else set()),
    )
    if trip.kind is None or not trip.kind.has_plug:
        parts = _distance_parts(trip, asks, distance)
        upstream = parts.pop("upstream", None)
        return by_control(trip, list(parts.values()), upstream, measure)
    return _plug_lines(trip, asks, distance, measure)


def _plug_lines(
    trip: Trip, asks: DistanceAsks, distance: Driven, measure: Measure
) -> list[EmissionLine]:
    """A vehicle with a plug: its electricity by where it is charged, its fuel if it has any.

    The tables have one upstream row for both. A battery vehicle's is that of its electricity; a
    hybrid's goes with its fuel, flagged where a meter has the electricity.
    """
    place, assumed = charging_place(trip)
    measure = replace(measure, flags=measure.flags | assumed)
    parts = _distance_parts(trip, asks, distance)
    is_battery = trip.kind is not None and trip.kind.blend is None
    lines: list[EmissionLine] = []
    if place == "depot":
        lines.append(counted_by_meter(trip, measure))
        parts = {name: one for name, one in parts.items() if name in ("direct", "upstream")}
        if is_battery:
            return lines
        measure = replace(measure, flags=measure.flags | {"upstream_includes_electricity"})
    elif trip.control.is_own:
        direct = parts.pop("direct")
        fuel_upstream = None if is_battery else parts.pop("upstream", None)
        if is_battery and "upstream" not in parts:
            measure = replace(measure, flags=measure.flags | {UPSTREAM_MISSING})
        lines += power_lines_by_distance(trip, parts, measure)
        if is_battery:
            return lines
        return [*lines, *by_control(trip, [direct], fuel_upstream, measure)]
    upstream = parts.pop("upstream", None)
    return [*lines, *by_control(trip, list(parts.values()), upstream, measure)]


def _distance_parts(trip: Trip, asks: DistanceAsks, distance: Driven) -> dict[str, Part]:
    """The parts of a distance's figure by name; `upstream` is left out where none is published."""
    parts: dict[str, Part] = {}
    for name, label, ask in (
        ("direct", "direct", asks.direct),
        ("electricity", "electricity in use", asks.electricity),
        ("losses", "grid losses", asks.losses),
        ("upstream", "well to tank", asks.upstream),
    ):
        if ask is None:
            continue
        activity = (*distance.operands(ask.unit, trip.event.event_id), *trip.share)
        seek = ask.find_if_published if name == "upstream" else ask.find
        match = seek(trip.country, trip.on, trip.inventory)
        if match is not None:
            parts[name] = part(label, activity, ask.unit, match, trip.inventory)
    return parts


# ---- the check of litres against distance


def _rate_flags(trip: Trip, vehicle: Vehicle | None) -> frozenset[str]:
    """Whether litres per 100 km are what such a vehicle uses.

    The band is the register's, else the published kgCO2e per km over kgCO2e per litre, give or take
    the policy's tolerance.
    """
    event, kind = trip.event, trip.kind
    distance = driven(event, trip.inventory.policy.road_daf)
    if event.fuel_litres is None or distance is None or kind is None or kind.blend is None:
        return frozenset()
    if not distance.exact_km:
        return frozenset({"fuel_without_distance"}) if event.fuel_litres else frozenset()
    band = _registered_band(vehicle) or _published_band(trip, kind)
    if band is None:
        return frozenset({"fuel_rate_not_checked"})
    rate = Fraction(event.fuel_litres) * 100 / distance.exact_km
    low, high = band
    is_within = low <= rate and (high is None or rate <= high)
    return frozenset() if is_within else frozenset({"fuel_rate_out_of_band"})


def _registered_band(vehicle: Vehicle | None) -> tuple[Fraction, Fraction | None] | None:
    if vehicle is None:
        return None
    low, high = vehicle.l_per_100km_min, vehicle.l_per_100km_max
    if low is None and high is None:
        return None
    return Fraction(low or 0), None if high is None else Fraction(high)


def _published_band(trip: Trip, kind: FuelType) -> tuple[Fraction, Fraction] | None:
    """Litres per 100 km by the British tables, which have both factors; None without a class."""
    if kind.blend is None:
        return None
    inventory = trip.inventory
    try:
        row = vehicle_class(trip.event.vehicle_class)
        per_km = distance_asks(row, kind, "GB").direct.find("GB", trip.on, inventory).factor
        per_litre = fuel(kind.blend, "GB").combustion.find("GB", trip.on, inventory).factor
    except RejectedRecord:
        return None
    gwp_set = inventory.policy.gwp_set
    kg_per_km = weigh(per_km, inventory.book.gwp, gwp_set).kgco2e_per_unit
    kg_per_litre = weigh(per_litre, inventory.book.gwp, gwp_set).kgco2e_per_unit
    if not kg_per_km or not kg_per_litre:
        return None
    expected = Fraction(kg_per_km) * 100 / Fraction(kg_per_litre)
    tolerance = Fraction(inventory.policy.fuel_rate_tolerance)
    return expected / tolerance, expected * tolerance
