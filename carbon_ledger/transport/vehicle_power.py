"""Electricity of vehicles: charged behind an own meter it adds nothing, elsewhere it is scope 2.

Belongs here: lines of kWh charged, and of electricity estimated from distance. Does not: fuel
(vehicles), meters of sites (events), market-based figures, which are made per site
and period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from carbon_ledger.energy.category3 import Category3, Consumed, Loss, lines_of_electricity
from carbon_ledger.energy.meter_amounts import Amount
from carbon_ledger.energy.meter_amounts import Part as AmountPart
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import Applied, EmissionLine
from carbon_ledger.organisation.categories import DISTANCE_BASED, FUEL_BASED
from carbon_ledger.organisation.scopes import assign
from carbon_ledger.transport.parts import Part, grid_factor, part
from carbon_ledger.transport.trip_lines import (
    S2_CHARGING,
    S2_DISTANCE,
    S3_FUEL,
    S3_UPSTREAM,
    Measure,
    Trip,
    trip_line,
)
from carbon_ledger.workings import Operand

BEHIND_OWN_METER: Final = "charged_behind_own_meter"
PLACE_ASSUMED: Final = "charging_place_assumed"
_LOSSES = "grid losses"
_UPSTREAM = "well to tank"


def charging_place(trip: Trip) -> tuple[str, frozenset[str]]:
    """`depot` or `public`, and a flag if that is the policy's assumption.

    Somebody else's vehicle charges elsewhere unless the event says it did at the depot. Raises
    RejectedRecord `charging_place_missing` where the policy assumes nothing.
    """
    stated = trip.event.charging
    if stated is not None:
        return stated, frozenset()
    if not trip.control.is_own:
        return "public", frozenset()
    assumed = trip.inventory.policy.unknown_charging
    if assumed == "reject":
        raise RejectedRecord(
            "charging_place_missing",
            "charging: whether a meter of the company has this electricity is not stated",
            field="charging",
            valid="depot, public",
        )
    return assumed, frozenset({PLACE_ASSUMED})


def power_lines(trip: Trip) -> list[EmissionLine]:
    """The lines of the kWh a vehicle was charged with: location-based, and its upstream.

    Behind a meter of the company (`depot`) one line of 0 kg: the meter's reading has them.
    """
    place, flags = charging_place(trip)
    kwh = trip.event.energy_kwh or Decimal(0)
    measure = Measure(
        activity_type="vehicle_electricity",
        quantity=kwh,
        unit="kWh",
        method="measured" if trip.control.is_own else FUEL_BASED,
        flags=flags,
    )
    if place == "depot":
        return [counted_by_meter(trip, measure)]
    stated = Operand(value=kwh, unit="kWh", label="electricity charged", source=trip.event.event_id)
    activity = (stated, *trip.share)
    match = grid_factor(trip.country, trip.on, trip.inventory)
    use = part("electricity in use", activity, "kWh", match, trip.inventory)
    further = _upstream_and_losses(trip, kwh, activity, use)
    measure = replace(measure, flags=flags | {one.code for one in further.missing})
    if not trip.control.is_own:
        whole = [use, *(_as_part(line, use) for line in further.lines)]
        return [trip_line(trip, trip.control.power, S3_FUEL, whole, basis="wtw", measure=measure)]
    return [
        trip_line(trip, trip.control.power, S2_CHARGING, [use], basis="location", measure=measure),
        *(_remarked(line, trip, flags) for line in further.lines),
    ]


def power_lines_by_distance(
    trip: Trip, parts: dict[str, Part], measure: Measure
) -> list[EmissionLine]:
    """The lines of an own vehicle's electricity, estimated from its distance.

    `parts` are `electricity`, and `losses` and `upstream` where they are published.
    """
    named = replace(measure, activity_type="vehicle_electricity")
    lines = [
        trip_line(
            trip,
            trip.control.power,
            S2_DISTANCE,
            [parts["electricity"]],
            basis="location",
            measure=named,
        )
    ]
    return [
        *lines,
        *(
            _category_3(trip, replace(parts[name], label=label), named)
            for name, label in (("losses", _LOSSES), ("upstream", _UPSTREAM))
            if name in parts
        ),
    ]


def counted_by_meter(trip: Trip, measure: Measure) -> EmissionLine:
    """Zero kilograms: the meter of the depot has this electricity already (each kWh once)."""
    assignment = assign(
        "vehicle_charging", {"charged_at": "own_metered_site"}, trip.inventory.policy
    )
    return trip_line(
        trip,
        assignment,
        S2_DISTANCE if measure.method == DISTANCE_BASED else S2_CHARGING,
        [],
        basis="informational",
        measure=replace(measure, activity_type="vehicle_electricity"),
        flags=frozenset({BEHIND_OWN_METER}),
    )


def _category_3(trip: Trip, one: Part, measure: Measure) -> EmissionLine:
    is_loss = one.label == _LOSSES
    return trip_line(
        trip,
        assign("grid_losses" if is_loss else "power_upstream", {}, trip.inventory.policy),
        S3_UPSTREAM,
        [one],
        basis="td_losses" if is_loss else "wtt",
        measure=measure,
    )


def _upstream_and_losses(
    trip: Trip, kwh: Decimal, activity: Sequence[Operand], use: Part
) -> Category3:
    """Category 3 of the kWh charged, by the same rules as that of a meter's."""
    amount = Amount(
        parts=(AmountPart(sign=1, operands=tuple(activity)),),
        unit="kWh",
        quantity=kwh,
        shown_unit="kWh",
    )
    consumed = Consumed(
        amount=amount,
        activity_type="vehicle_electricity",
        occurred_from=trip.event.occurred_from,
        occurred_to=trip.event.occurred_to,
    )
    return lines_of_electricity(consumed, use.match, trip.inventory, loss=_loss(trip, use))


def _loss(trip: Trip, use: Part) -> Loss | None:
    """The loss rate of the country where the grid's row has neither rate nor figure of its own."""
    row = use.match.factor
    if row.td_kgco2e_per_unit is not None or row.td_loss_pct is not None:
        return None
    try:
        rate = trip.inventory.book.loss_rate(trip.country, None, trip.on, trip.inventory.policy)
    except RejectedRecord:
        # Then losses are missing, and lines_of_electricity says so.
        return None
    return Loss.of_rate(rate)


def _as_part(line: EmissionLine, use: Part) -> Part:
    """A line of category 3 as a part of a figure from well to wheel."""
    label = _LOSSES if line.working.formula.formula_id.startswith("S3-3C") else _UPSTREAM
    terms = tuple(replace(one, label=label) for one in line.working.terms)
    applied = Applied(terms=terms, gas_terms=(), gwp_set=line.gwp_set, flags=line.flags)
    return replace(use, label=label, applied=applied)


def _remarked(line: EmissionLine, trip: Trip, flags: frozenset[str]) -> EmissionLine:
    return replace(line, flags=tuple(sorted({*line.flags, *trip.flags, *flags})))
