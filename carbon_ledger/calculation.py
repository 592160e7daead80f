"""One activity in, its emission lines or a refusal out: the calculators behind one door.

Belongs here: which calculator an activity goes to, and its lines as plain values and as a text a
person can recompute. Does not: any rule (the calculators), reading or printing (cli).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.activities.category_methods import lines_of_activity
from carbon_ledger.activities.registered_activity import (
    RegisteredActivityEvent,
    lines_of_registered_activity,
)
from carbon_ledger.data_quality import BASIC_UNCERTAINTY, line_interval
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.meters import lines_of_meter_reading
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import ActivityEvent
from carbon_ledger.greenhouse import MEMO_GASES
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.purchasing.declarations import lines_of_declaration
from carbon_ledger.purchasing.production import lines_of_production
from carbon_ledger.purchasing.production_events import SupplierProductionEvent
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchases import lines_of_purchase
from carbon_ledger.purchasing.supplier_events import SITE_PRODUCTION, SupplierDeclarationEvent
from carbon_ledger.quantities import canonical_text
from carbon_ledger.transport.shipment_events import ShipmentEvent
from carbon_ledger.transport.shipments import lines_of_leg
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from carbon_ledger.transport.vehicles import lines_of_trip
from carbon_ledger.workings import Working, exact_text, one_line

EVENT_FIELD: Final = "event"
GENERIC: Final = "activity"


@dataclass(frozen=True, kw_only=True, slots=True)
class EventKind:
    """The events of a stream: their class, and the calculator of their lines.

    `by_kind`: what is another event if the field `kind` of its record says so.
    """

    event_class: type[ActivityEvent]
    lines: Callable[[Any, Inventory], tuple[EmissionLine, ...]]
    by_kind: Mapping[str, type[ActivityEvent]] = field(default_factory=dict)

    def class_of(self, fields: Mapping[str, Any]) -> type[ActivityEvent]:
        """The class of the event with these fields."""
        kind = fields.get("kind")
        return (
            self.by_kind.get(kind, self.event_class) if isinstance(kind, str) else self.event_class
        )


def lines_of_supplier(
    event: SupplierDeclarationEvent | SupplierProductionEvent, inventory: Inventory
) -> tuple[EmissionLine, ...]:
    """The lines of a declaration or of a production report; raises what their calculators raise."""
    if isinstance(event, SupplierProductionEvent):
        return lines_of_production(event, inventory)
    return lines_of_declaration(event, inventory)


# By the name of the stream the event arrives in.
EVENT_KINDS: Final[dict[str, EventKind]] = {
    "iot_energy": EventKind(event_class=MeterReadingEvent, lines=lines_of_meter_reading),
    "transport": EventKind(event_class=VehicleTelemetryEvent, lines=lines_of_trip),
    "logistics": EventKind(event_class=ShipmentEvent, lines=lines_of_leg),
    "procurement": EventKind(event_class=PurchaseOrderEvent, lines=lines_of_purchase),
    "supplier": EventKind(
        event_class=SupplierDeclarationEvent,
        lines=lines_of_supplier,
        by_kind={SITE_PRODUCTION: SupplierProductionEvent},
    ),
    "activities": EventKind(
        event_class=RegisteredActivityEvent, lines=lines_of_registered_activity
    ),
}


def calculate(activity: Mapping[str, Any], inventory: Inventory) -> tuple[EmissionLine, ...]:
    """The lines of an activity: of an event of a stream (`"event": "transport"`, then the fields of
    its schema), or of a generic activity (no `event`, see category_methods.lines_of_activity).

    An `id` is the caller's own and changes nothing. Numbers are text or integers, times ISO 8601
    text. Raises RejectedRecord with the calculator's code, or `unknown_event`.
    """
    kind = activity.get(EVENT_FIELD, GENERIC)
    fields = {name: value for name, value in activity.items() if name != EVENT_FIELD}
    if kind == GENERIC:
        return lines_of_activity(fields, inventory)
    if not isinstance(kind, str) or kind not in EVENT_KINDS:
        raise RejectedRecord(
            "unknown_event",
            f"event: {str(kind)[:60]!r} is no kind of event",
            field=EVENT_FIELD,
            value=kind,
            valid=f"{', '.join(EVENT_KINDS)}, or {GENERIC}",
        )
    chosen = EVENT_KINDS[kind]
    fields.pop("id", None)
    event = chosen.class_of(fields).from_fields(fields, inventory.now)
    return chosen.lines(event, inventory)


def line_values(line: EmissionLine) -> dict[str, Any]:
    """A line as plain values, numbers as plain decimal text: what JSON says of it."""
    interval = line_interval(
        line.kgco2e, line.activity_scores, line.factor_scores, BASIC_UNCERTAINTY[_kind(line)]
    )
    factor = None
    if line.factor is not None:
        factor = {
            "id": line.factor.factor.factor_id,
            "version": line.factor.factor.version,
            "release": line.factor.release_id,
            "how_matched": line.factor.how_matched,
            "vintage_gap_years": line.factor.vintage_gap_years,
        }
    formula = line.working.formula
    return {
        "scope": line.assignment.scope,
        "category": line.assignment.category,
        "rule": line.assignment.rule,
        "reason": line.assignment.reason,
        "basis": line.basis,
        "method": line.method,
        "activity_type": line.activity_type,
        "quantity": canonical_text(line.quantity),
        "unit": line.unit,
        "kgco2e": canonical_text(line.kgco2e),
        "gases_kg": {gas: canonical_text(kg) for gas, kg in line.gases},
        "gas_split": line.gas_split,
        "gwp_set": line.gwp_set,
        "factor": factor,
        "formula": {"id": formula.formula_id, "text": formula.text, "citation": formula.citation},
        "conversions": _conversions(line.working),
        "quality": {
            "activity": None if line.activity_scores is None else line.activity_scores.as_tuple(),
            "factor": None if line.factor_scores is None else line.factor_scores.as_tuple(),
            "primary_share": canonical_text(line.primary_share),
        },
        "interval_95": None
        if interval is None
        else {"low": canonical_text(interval.low), "high": canonical_text(interval.high)},
        "occurred_from": _moment(line.occurred_from),
        "occurred_to": _moment(line.occurred_to),
        "flags": list(line.flags),
    }


def _kind(line: EmissionLine) -> str:
    """Which basic uncertainty a line has: carriage is known worse than energy and materials."""
    return "transport_services" if line.assignment.category in (4, 6, 7, 9) else "energy"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _conversions(working: Working) -> list[str]:
    found = (
        f"{'/' if operand.divides else 'x'} {exact_text(operand.value)} {operand.unit}"
        for term in working.terms
        for operand in term.operands
        if "conversion" in operand.label
    )
    return list(dict.fromkeys(found))


def explained(line: EmissionLine) -> list[str]:
    """The line as a person would write it down: what it is, then the working of every figure.

    The workings alone are enough to recompute the figure and each gas to the last digit.
    """
    one = line.assignment
    where = f"scope {one.scope}" + ("" if one.category is None else f", category {one.category}")
    text = [
        f"{where}, {line.basis}, method {line.method} [{one.rule}]",
        f"because {one.reason}",
        *line.working.written(),
        "rounded once, half-even, to 12 decimals",
    ]
    for gas, working in line.gas_workings:
        note = ", outside the scopes" if gas in MEMO_GASES else ""
        text += [f"of which {gas}{note}:", *working.written()[1:]]
    if line.factor is not None:
        match = line.factor
        gap = match.vintage_gap_years
        text.append(
            f"factor {match.factor.factor_id} version {match.factor.version} of release "
            f"{match.release_id}, matched {match.how_matched}"
            + (f", {gap:+d} years from the activity" if gap else "")
        )
    text.append(f"global warming potentials: {line.gwp_set}")
    for name, scores in (("activity", line.activity_scores), ("factor", line.factor_scores)):
        if scores is not None:
            text.append(f"data quality of the {name}: {'/'.join(map(str, scores.as_tuple()))}")
    if line.flags:
        text.append(f"flags: {', '.join(line.flags)}")
    return [one_line(each) for each in text]


def total(lines: tuple[EmissionLine, ...]) -> Decimal:
    """kgCO2e of lines in the scopes; what is in scope 0 enters no total."""
    return sum((line.kgco2e for line in lines if line.assignment.scope), Decimal(0))
