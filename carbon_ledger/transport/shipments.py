"""What a leg of a shipment emits: tonne-kilometres times intensity, or what its carrier declares.

Belongs here: the lines of one leg or hub, and which level of data counts. Does not: the event
(shipment_events), its category (shipment_category), transport work
(freight_activity), chains of legs and shared vehicles (freight_chains).

A leg counts once, when it is delivered: every other state is a line of 0 kg, so that a later state
takes back what an earlier one posted. A figure is from well to wheel in one line whose terms are
`tank to wheel` and `well to tank`; radiative forcing of flights stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.factor_book.use import weigh
from carbon_ledger.greenhouse import RADIATIVE_FORCING
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Applied, EmissionLine
from carbon_ledger.organisation.categories import (
    AVERAGE_DATA,
    DISTANCE_BASED,
    METHOD_RANKS,
    SUPPLIER_SPECIFIC,
)
from carbon_ledger.transport.freight_activity import (
    BETWEEN_COUNTRIES,
    Work,
    at_hub,
    container_work,
    mass_operands,
    transport_work,
)
from carbon_ledger.transport.freight_vocabulary import (
    AVERAGE_CLASSES,
    HUB,
    LICENSED,
    OPERATION_CLASSES,
    DistanceBasis,
    OperationClass,
    cooled,
    licensed,
    operation_class,
)
from carbon_ledger.transport.leg_lines import (
    DECLARED,
    DECLARED_TTW,
    DEFAULT,
    HUB_FORMULA,
    TANK_TO_WHEEL,
    WELL_TO_TANK,
    WHOLE,
    Leg,
    informing_line,
    leg_line,
)
from carbon_ledger.transport.parts import Ask, Part, joined, local_day, part
from carbon_ledger.transport.shipment_category import assignment_of
from carbon_ledger.transport.shipment_events import DELIVERED, ShipmentEvent
from carbon_ledger.units import ratio
from carbon_ledger.workings import Operand, Term

# A declared figure that counts takes the place of a default one; a modelled one is less than a
# measured one (carbon_ledger.organisation.categories, METHOD_RANKS).
_DECLARED_RANKS: Final = {"primary": 5, "modelled": 4}
_BASES: Final[tuple[DistanceBasis, ...]] = ("actual", "adjusted", "shortest")


@dataclass(frozen=True, kw_only=True, slots=True)
class Intensity:
    """The rows of a leg's default figure; `like` are those whose proportion gives the upstream."""

    row: OperationClass
    ttw: FactorMatch
    wtt: FactorMatch | None
    like: tuple[FactorMatch, FactorMatch] | None
    basis: DistanceBasis
    flags: frozenset[str]


def lines_of_leg(event: ShipmentEvent, inventory: Inventory) -> tuple[EmissionLine, ...]:
    """The line of a leg or hub in its state.

    Codes: `operation_class_missing`, `operation_class_of_other_mode`,
    `refrigerated_factor_missing`, `hub_needs_operation_class`, those of
    carbon_ledger.transport.freight_activity and of the factor book.
    """
    on = local_day(event.timestamp, event.facility_id, inventory)
    assignment, flags = assignment_of(event, on, inventory)
    flags |= {f"assumed_{name}" for name in event.assumed}
    leg = Leg(event=event, inventory=inventory, on=on, assignment=assignment, flags=flags)
    if event.status != DELIVERED:
        return (informing_line(leg, f"not_posted_while_{event.status}"),)
    if assignment.scope == 0:
        return (informing_line(leg, "carried_by_own_vehicle"),)
    declared = event.co2e_wtw_kg is not None or event.co2e_ttw_kg is not None
    if declared and event.data_level in _DECLARED_RANKS:
        return (_declared(leg),)
    try:
        line = _hub(leg) if event.mode == HUB else _default(leg)
    except RejectedRecord:
        if not declared:
            raise
        return (_declared(leg),)
    if declared:
        unused = "declared_default_not_used" if event.data_level else "declared_level_unstated"
        line = replace(line, flags=tuple(sorted({*line.flags, unused})))
    return (line,)


# ---- default figure


def _default(leg: Leg) -> EmissionLine:
    event, policy = leg.event, leg.inventory.policy
    intensity = _intensity(leg)
    is_per_container = intensity.ttw.factor.unit == "TEU_km"
    measure = container_work if is_per_container else transport_work
    work = measure(event, intensity.basis, policy)
    parts = [
        _over(work, TANK_TO_WHEEL, intensity.ttw, leg),
        _upstream(work, intensity, leg),
    ]
    flags = set(intensity.flags | work.flags | leg.flags)
    empty, empty_flags = _empty_return(intensity.row, leg)
    parts += empty
    flags |= empty_flags
    applied = joined(parts, policy.gwp_set)
    applied = _with_forcing(applied, work, intensity.row, leg)
    is_estimate = BETWEEN_COUNTRIES in work.flags
    return leg_line(
        leg,
        DEFAULT,
        applied,
        method=DISTANCE_BASED,
        basis="wtw",
        rank=METHOD_RANKS[DISTANCE_BASED],
        match=intensity.ttw,
        scores="shipment_between_countries" if is_estimate else "shipment_default_intensity",
        flags=flags,
    )


def _intensity(leg: Leg) -> Intensity:
    row, flags = _class_of(leg)
    ttw_match = _found(leg, row, row.ttw)
    stated_basis = dict(ttw_match.factor.selectors).get("distance_basis", row.distance_basis)
    basis = next((one for one in _BASES if one == stated_basis), row.distance_basis)
    like = None
    wtt_match = None
    if row.wtt is not None:
        wtt_match = _found(leg, row, row.wtt)
    elif row.wtt_like is not None:
        model = OPERATION_CLASSES[row.wtt_like]
        if model.wtt is not None:
            like = (leg.find(model.wtt), leg.find(model.ttw))
        flags = flags | {"wtt_by_ratio"}
    return Intensity(row=row, ttw=ttw_match, wtt=wtt_match, like=like, basis=basis, flags=flags)


def _found(leg: Leg, row: OperationClass, ask: Ask) -> FactorMatch:
    """The row asked for; of a licensed class, the one per container if containers are stated."""
    if ask.family == LICENSED and leg.event.teu is not None and leg.event.mass_kg is None:
        stage = dict(ask.selectors)["stage"]
        per_container = licensed(row.name, row.mode, stage, "TEU_km")
        try:
            return leg.find(per_container)
        except RejectedRecord as problem:
            if problem.code != "incompatible_unit":
                raise
    return leg.find(ask)


def _class_of(leg: Leg) -> tuple[OperationClass, frozenset[str]]:
    event = leg.event
    flags: frozenset[str] = frozenset()
    name = event.operation_class
    if name is None:
        name = AVERAGE_CLASSES.get(event.mode)
        flags = frozenset({"operation_class_average"})
    if name is None:
        raise RejectedRecord(
            "operation_class_missing",
            f"operation_class: no published average is of all transport by {event.mode}",
            field="operation_class",
            valid=", ".join(
                row.name for row in OPERATION_CLASSES.values() if row.mode == event.mode
            )
            or "a class of a licensed set",
        )
    row = operation_class(name, event.mode)
    return (cooled(row) if event.is_refrigerated else row), flags


def _over(work: Work, label: str, match: FactorMatch, leg: Leg) -> Part:
    """A factor applied to every chain of the transport work, as one part."""
    pieces = [part(label, chain, work.unit, match, leg.inventory) for chain in work.chains]
    if len(pieces) == 1:
        return pieces[0]
    whole = joined(pieces, leg.inventory.policy.gwp_set)
    return Part(label=label, match=match, applied=whole)


def _upstream(work: Work, intensity: Intensity, leg: Leg) -> Part:
    """The well-to-tank part: by its own row, else in the proportion of a class that has one."""
    if intensity.wtt is not None:
        return _over(work, WELL_TO_TANK, intensity.wtt, leg)
    direct = _over(work, WELL_TO_TANK, intensity.ttw, leg)
    if intensity.like is None:
        raise RejectedRecord(
            "factor_missing",
            f"no well-to-tank factor is of {intensity.row.name}",
            field="operation_class",
            value=intensity.row.name,
            valid="a class with its upstream",
        )
    proportion = _ratio(*intensity.like, leg)
    terms = tuple(
        replace(one, operands=(*one.operands, *proportion), label=WELL_TO_TANK)
        for one in direct.applied.terms
    )
    flags = tuple({*direct.applied.flags, *intensity.like[0].flags})
    applied = replace(direct.applied, terms=terms, gas_terms=(), flags=flags)
    return replace(direct, applied=applied)


def _ratio(wtt: FactorMatch, ttw: FactorMatch, leg: Leg) -> tuple[Operand, ...]:
    """Default well to tank over default tank to wheel, as operands."""
    over, under = (_intensity_operand(match, leg) for match in (wtt, ttw))
    operands = (
        replace(over, label=f"default intensity {WELL_TO_TANK}"),
        replace(under, label=f"default intensity {TANK_TO_WHEEL}", divides=True),
    )
    units = (ttw.factor.unit, wtt.factor.unit)
    if units[0] == units[1]:
        return operands
    exact = ratio(*units)
    name = f"{units[1]} per {units[0]}"
    return (*operands, Operand(value=exact, unit=name, label="unit conversion"))


def _intensity_operand(match: FactorMatch, leg: Leg) -> Operand:
    factor = match.factor
    weighed = weigh(factor, leg.inventory.book.gwp, leg.inventory.policy.gwp_set)
    return Operand(
        value=weighed.kgco2e_per_unit,
        unit=f"kgCO2e per {factor.unit}",
        label="intensity",
        source=f"{factor.factor_id} version {factor.version}, {match.how_matched}; "
        f"{weighed.written}",
    )


def _empty_return(row: OperationClass, leg: Leg) -> tuple[list[Part], set[str]]:
    """The way back empty, only where the intensity leaves empty running out."""
    km = leg.event.empty_return_km
    if km is None:
        return [], set()
    if row.empty is None:
        known = row.name in OPERATION_CLASSES
        return [], {"empty_return_in_intensity" if known else "empty_return_not_counted"}
    stated = Operand(value=km, unit="km", label="driven back empty", source=leg.event.event_id)
    pieces = [
        part(label, (stated,), "km", leg.find(ask), leg.inventory)
        for label, ask in zip((TANK_TO_WHEEL, WELL_TO_TANK), row.empty, strict=True)
    ]
    return pieces, {"empty_return_counted"}


def _with_forcing(applied: Applied, work: Work, row: OperationClass, leg: Leg) -> Applied:
    """Radiative forcing beside the figure: the row that has it less the row that has not."""
    if row.with_forcing is None:
        return applied
    label = "with radiative forcing"
    more = _over(work, label, leg.find(row.with_forcing), leg)
    less = _over(work, "without radiative forcing", leg.find(row.ttw), leg)
    terms = (
        *(replace(one, label=label) for one in more.applied.terms),
        *(
            replace(one, sign=-one.sign, label="without radiative forcing")
            for one in less.applied.terms
        ),
    )
    gas_terms = tuple(sorted((*applied.gas_terms, (RADIATIVE_FORCING, terms))))
    flags = tuple(sorted({*applied.flags, "radiative_forcing_apart"}))
    return replace(applied, gas_terms=gas_terms, flags=flags)


# ---- hubs


def _hub(leg: Leg) -> EmissionLine:
    """A hub by throughput, or by volume and days, with an intensity of a licensed set."""
    event = leg.event
    if event.operation_class is None:
        raise RejectedRecord(
            "hub_needs_operation_class",
            "operation_class: no published average is of all hubs",
            field="operation_class",
            valid="a class of a licensed set, or the operator's own figures",
        )
    if event.days_stored is not None:
        work = at_hub(event)
    else:
        load, unit = mass_operands(event, leg.inventory.policy)
        work = Work(chains=(load,), unit=unit)
    match = leg.find(licensed(event.operation_class, HUB, "wtw", work.unit))
    applied = joined([_over(work, WHOLE, match, leg)], leg.inventory.policy.gwp_set)
    return leg_line(
        leg,
        HUB_FORMULA,
        applied,
        method=AVERAGE_DATA,
        basis="wtw",
        rank=METHOD_RANKS[AVERAGE_DATA],
        match=match,
        scores="shipment_default_intensity",
        flags={*work.flags, *leg.flags},
    )


# ---- declared figures


def _declared(leg: Leg) -> EmissionLine:
    """What the carrier states for the leg: whole, in its two parts, or with the upstream added."""
    event = leg.event
    level = event.data_level or "unstated"
    flags = {f"declared_{level}", *leg.flags}
    match = None
    formula = DECLARED
    wtw, ttw = event.co2e_wtw_kg, event.co2e_ttw_kg
    if wtw is not None and ttw is None:
        terms: Sequence[Term] = (_stated(leg, wtw, "declared well to wheel", WHOLE),)
    elif ttw is not None:
        direct = _stated(leg, ttw, "declared tank to wheel", TANK_TO_WHEEL)
        if wtw is not None:
            whole = _stated(leg, wtw, "declared well to wheel", WELL_TO_TANK)
            terms = (direct, whole, replace(direct, label=WELL_TO_TANK, sign=-1))
        else:
            intensity = _intensity(leg)
            match, formula = intensity.ttw, DECLARED_TTW
            wtt_ttw = intensity.like or (intensity.wtt, intensity.ttw)
            if wtt_ttw[0] is None:
                raise _no_upstream(intensity.row)
            proportion = _ratio(wtt_ttw[0], wtt_ttw[1], leg)
            upstream = replace(direct, operands=(*direct.operands, *proportion), label=WELL_TO_TANK)
            terms = (direct, upstream)
            flags |= {"wtt_by_ratio", *intensity.flags}
    else:
        terms = ()
    rank = _DECLARED_RANKS.get(level, METHOD_RANKS[DISTANCE_BASED])
    return leg_line(
        leg,
        formula,
        Applied(terms=tuple(terms), gas_terms=(), gwp_set="unstated", flags=()),
        method=SUPPLIER_SPECIFIC,
        basis="supplier",
        rank=rank,
        match=match,
        scores="shipment_declared" if level in _DECLARED_RANKS else "shipment_default_intensity",
        flags=flags,
        primary_share=Decimal(1) if level == "primary" else Decimal(0),
    )


def _no_upstream(row: OperationClass) -> RejectedRecord:
    return RejectedRecord(
        "factor_missing",
        f"no well-to-tank factor is of {row.name}",
        field="operation_class",
        value=row.name,
        valid="a class with its upstream, or a declared figure from well to wheel",
    )


def _stated(leg: Leg, kg: Decimal, label: str, term_label: str) -> Term:
    carrier = leg.event.carrier_id or "the carrier"
    source = f"{carrier}, {leg.event.event_id}"
    operand = Operand(value=kg, unit="kgCO2e", label=label, source=source)
    return Term(operands=(operand,), label=term_label)
