"""The formulas of trips, and a trip's figure as lines of the scope its vehicle belongs to.

Belongs here: what a trip is to the rules, how far it went, formulas, the making of a line. Does
not: which factors apply (vehicles for fuel and distance, vehicle_power
for electricity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.data_quality import DEFAULT_SCORES, FAIR, GOOD, Scores
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Assignment, EmissionLine, line_of
from carbon_ledger.organisation.categories import DISTANCE_BASED, FUEL_BASED, METHOD_RANKS
from carbon_ledger.organisation.scopes import assign
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.transport.parts import Part, factor_scores, joined
from carbon_ledger.transport.vehicle_control import Control
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from carbon_ledger.transport.vocabulary import FuelType
from carbon_ledger.workings import Formula, Operand, formula_table

_MOBILE = "GHG Protocol Corporate Standard (2004), chapter 4, mobile combustion"
_LOCATION = "GHG Protocol Scope 2 Guidance (2015), chapter 6, location-based method"
_GUIDANCE = "GHG Protocol Technical Guidance for Calculating Scope 3 Emissions (2013), category 4"
_LIFE_CYCLE = "GHG Protocol Scope 3 Standard (2011), chapter 7, life cycle factors"

S1_FUEL: Final = Formula(
    formula_id="S1-MOBILE-FUEL",
    text="kgCO2e = litres burnt x share of the fuel in them x factor of its combustion, and for US "
    "vehicles + km x factor of methane and nitrous oxide; biogenic CO2 stands beside it",
    citation=_MOBILE,
)
S1_DISTANCE: Final = Formula(
    formula_id="S1-MOBILE-DISTANCE",
    text="kgCO2e = km driven x direct factor of the vehicle class and fuel",
    citation=_MOBILE,
)
S2_CHARGING: Final = Formula(
    formula_id="S2-VEHICLE-LB",
    text="kgCO2e = kWh charged x location-based factor of the grid; 0 where a meter has them",
    citation=_LOCATION,
)
S2_DISTANCE: Final = Formula(
    formula_id="S2-VEHICLE-DISTANCE",
    text="kgCO2e = km driven x factor of the electricity a vehicle of the class uses",
    citation=f"{_LOCATION}; electricity estimated from distance",
)
S3_UPSTREAM: Final = Formula(
    formula_id="S3-3-VEHICLE",
    text="kgCO2e = activity x well-to-tank or loss factor of the fuel or electricity",
    citation="GHG Protocol Scope 3 Standard (2011), table 5.5, category 3",
)
S3_FUEL: Final = Formula(
    formula_id="S3-VEHICLE-FUEL",
    text="kgCO2e = litres or kWh x (factor in use + factors of its upstream), well to wheel",
    citation=f"{_GUIDANCE}, fuel-based method; {_LIFE_CYCLE}",
)
S3_DISTANCE: Final = Formula(
    formula_id="S3-VEHICLE-DISTANCE",
    text="kgCO2e = km driven x (direct factor + factors of its upstream), well to wheel",
    citation=f"{_GUIDANCE}, distance-based method; {_LIFE_CYCLE}",
)
FORMULAS: Final = formula_table(
    S1_FUEL, S1_DISTANCE, S2_CHARGING, S2_DISTANCE, S3_UPSTREAM, S3_FUEL, S3_DISTANCE
)

UPSTREAM_MISSING: Final = "upstream_factor_missing"
_FROM_POSITIONS = "distance_from_positions"
# An odometer and a stated distance that differ by more than a twentieth are not of the same trip.
_DISTANCE_TOLERANCE = Fraction(1, 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trip:
    """A trip with everything about it that the rules look at; `share` is the part that counts."""

    event: VehicleTelemetryEvent
    inventory: Inventory
    on: date
    control: Control
    kind: FuelType | None
    share: tuple[Operand, ...]
    flags: frozenset[str]

    @property
    def country(self) -> str:
        """Where the trip began: its grid, and the publisher asked first."""
        return self.event.country_iso2


@dataclass(frozen=True, kw_only=True, slots=True)
class Driven:
    """How far a vehicle went, how that is known, and a detour that has to be added."""

    km: Decimal
    label: str
    flags: frozenset[str] = frozenset()
    detour: Decimal | None = None

    @property
    def exact_km(self) -> Fraction:
        """Kilometres driven."""
        return Fraction(self.km) * (1 if self.detour is None else Fraction(self.detour))

    def operands(self, unit: str, source: str) -> tuple[Operand, ...]:
        """The distance as operands, in `km` or, for factors per vehicle distance, `vkm`."""
        stated = Operand(value=self.km, unit=unit, label=self.label, source=source)
        if self.detour is None:
            return (stated,)
        adjustment = Operand(
            value=self.detour,
            unit="km per km",
            label="distance adjustment for roads",
            source="policy road_daf",
        )
        return (stated, adjustment)


def driven(event: VehicleTelemetryEvent, road_daf: Decimal) -> Driven | None:
    """The distance stated, else by odometer, else between positions, adjusted; None if unknown."""
    start, end = event.odometer_start_km, event.odometer_end_km
    by_odometer = None if start is None or end is None else PRODUCT.subtract(end, start)
    if event.distance_km is not None:
        flags: frozenset[str] = frozenset()
        if by_odometer is not None:
            gap = abs(Fraction(event.distance_km) - Fraction(by_odometer))
            if gap > _DISTANCE_TOLERANCE * Fraction(max(event.distance_km, by_odometer)):
                flags = frozenset({"distance_contradicts_odometer"})
        return Driven(km=event.distance_km, label="distance driven", flags=flags)
    if by_odometer is not None:
        return Driven(km=by_odometer, label="distance by odometer")
    if event.position_distance_km is not None:
        return Driven(
            km=event.position_distance_km,
            label="great circle distances between positions",
            flags=frozenset({_FROM_POSITIONS}),
            detour=road_daf,
        )
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What a line of a trip is about: the activity as stated, and how it is turned into kg."""

    activity_type: str
    quantity: Decimal
    unit: str
    method: str
    flags: frozenset[str] = frozenset()

    @property
    def scores(self) -> Scores:
        """Quality of the activity data by how it was obtained."""
        if self.method != DISTANCE_BASED:
            return DEFAULT_SCORES["telematics_fuel"]
        scores = DEFAULT_SCORES["telematics_distance"]
        if _FROM_POSITIONS not in self.flags:
            return scores
        # Positions are joined by straight lines, and the road's detour is an average.
        return replace(scores, completeness=GOOD, reliability=FAIR)


def trip_line(
    trip: Trip,
    assignment: Assignment,
    formula: Formula,
    parts: Sequence[Part],
    *,
    basis: str,
    measure: Measure,
    flags: frozenset[str] = frozenset(),
) -> EmissionLine:
    """The line of parts of a trip's figure; no parts is a line of 0 kg that only informs."""
    applied = joined(parts, trip.inventory.policy.gwp_set)
    is_value_chain = assignment.scope == 3 and assignment.category != 3
    is_measured = measure.method != DISTANCE_BASED
    return line_of(
        assignment=assignment,
        formula=formula,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis=basis,
        method=measure.method,
        rank=METHOD_RANKS.get(measure.method, 0) if is_value_chain else 0,
        activity_type=measure.activity_type,
        quantity=measure.quantity,
        unit=measure.unit,
        gwp_set=applied.gwp_set,
        factor=parts[0].match if parts else None,
        activity_scores=measure.scores,
        factor_scores=factor_scores(parts[0].match, technology=1 if is_measured else 2)
        if parts
        else None,
        primary_share=Decimal(1) if is_value_chain and is_measured else Decimal(0),
        occurred_from=trip.event.occurred_from,
        occurred_to=trip.event.occurred_to,
        flags=tuple({*applied.flags, *measure.flags, *trip.flags, *flags}),
    )


def by_control(
    trip: Trip, parts: Sequence[Part], upstream: Part | None, measure: Measure
) -> list[EmissionLine]:
    """Fuel burnt, or distance of a vehicle that burns it: scope 1 and category 3, or well to wheel.

    `parts` are the direct ones. A missing upstream leaves an own vehicle's direct line, flagged
    `upstream_factor_missing`; from well to wheel it is refused, code `upstream_factor_missing`.
    """
    is_fuel = measure.method == FUEL_BASED
    if not trip.control.is_own:
        if upstream is None:
            raise RejectedRecord(
                UPSTREAM_MISSING,
                f"no factor for the upstream of {measure.activity_type} is published",
                field="fuel_type",
                value=trip.event.fuel_type,
                valid="a fuel with a well-to-tank factor for the country or a proxy of the policy",
            )
        formula = S3_FUEL if is_fuel else S3_DISTANCE
        whole = [*parts, upstream]
        return [trip_line(trip, trip.control.fuel, formula, whole, basis="wtw", measure=measure)]
    missing = frozenset() if upstream is not None else frozenset({UPSTREAM_MISSING})
    formula = S1_FUEL if is_fuel else S1_DISTANCE
    lines = [
        trip_line(
            trip,
            trip.control.fuel,
            formula,
            parts,
            basis="combustion",
            measure=measure,
            flags=missing,
        )
    ]
    if upstream is not None:
        assignment = assign("fuel_upstream", {}, trip.inventory.policy)
        lines.append(
            trip_line(trip, assignment, S3_UPSTREAM, [upstream], basis="wtt", measure=measure)
        )
    return lines
