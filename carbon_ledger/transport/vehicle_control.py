"""Whose vehicle it is: the scope of a trip's fuel and electricity.

Belongs here: the test of control, by the register as it was on the day, else by the event. Does
not: figures (vehicles), the tables of leases (carbon_ledger.organisation.leases).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import Assignment
from carbon_ledger.organisation.categories import CATEGORIES, TABLE
from carbon_ledger.organisation.leases import treatment
from carbon_ledger.organisation.scopes import assign
from carbon_ledger.policy import Policy
from carbon_ledger.reference.records import Vehicle
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent

UNREGISTERED = "vehicle_unregistered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """Where a vehicle's emissions belong: of its fuel, of its electricity; `is_own` if in scopes 1
    and 2."""

    is_own: bool
    fuel: Assignment
    power: Assignment
    flags: tuple[str, ...] = ()


def control_of(event: VehicleTelemetryEvent, vehicle: Vehicle | None, policy: Policy) -> Control:
    """The control over the vehicle of a trip, by the register if it is there (`vehicle`).

    An employee's vehicle is on business unless the event says it commutes. Codes:
    `lease_kind_unknown` for a lease whose kind decides and is not registered.
    """
    if vehicle is None:
        control = _by_ownership(event.operator, None, None, policy)
        return replace(control, flags=(*control.flags, UNREGISTERED))
    ownership = vehicle.ownership
    if ownership == "employee" and event.operator == "commuting":
        ownership = "commuting"
    control = _by_ownership(ownership, vehicle.lease_type, vehicle.operational_control, policy)
    if event.operator not in ("own", ownership):
        control = replace(control, flags=(*control.flags, "operator_differs"))
    return control


def _by_ownership(
    ownership: str, lease_type: str | None, is_operated: bool | None, policy: Policy
) -> Control:
    if ownership == "own":
        return _own("owned by the company", policy)
    if ownership == "leased":
        return _leased(lease_type, is_operated, policy)
    if is_own_rental(ownership, is_operated, policy):
        return _own("rented and operated by the company", policy)
    if ownership == "carrier":
        return _others(_category(4, "S3-4-PAYER", "a carrier's vehicle, paid by the company"))
    if ownership == "customer_carrier":
        return _others(_category(9, "S3-9-PAYER", "a carrier's vehicle, paid by the customer"))
    kind = "employee_commuting" if ownership == "commuting" else "business_travel"
    return _others(assign(kind, {"operator": "third_party"}, policy))


def is_own_rental(ownership: str, is_operated: bool | None, policy: Policy) -> bool:
    """Whether a vehicle is rented, and the company's own because it operates it."""
    by_operation = policy.consolidation == "operational_control"
    return ownership == "rental" and bool(is_operated) and by_operation


def _leased(lease_type: str | None, is_operated: bool | None, policy: Policy) -> Control:
    by_operation = policy.consolidation == "operational_control"
    if by_operation and is_operated is False:
        return _others(_category(8, "S3-8-LEASED", "leased, but operated by somebody else"))
    if lease_type is None:
        if by_operation:
            return _own("leased and operated by the company", policy)
        raise RejectedRecord(
            "lease_kind_unknown",
            "operator: a leased vehicle is in scope 1 or in category 8 by the kind of its lease",
            field="operator",
            value="leased",
            valid="a registered vehicle with lease_type finance or operating",
        )
    lease = treatment("lessee", lease_type, policy.consolidation)
    if lease.is_own:
        return _own(lease.reason, policy)
    return _others(Assignment(scope=3, category=8, rule=lease.rule, reason=lease.reason))


def _own(why: str, policy: Policy) -> Control:
    fuel = assign("transport", {"operator": "own", "energy": "fuel"}, policy)
    power = assign("transport", {"operator": "own", "energy": "electricity"}, policy)
    return Control(
        is_own=True,
        fuel=replace(fuel, reason=f"{why}; {fuel.reason}"),
        power=replace(power, reason=f"{why}; {power.reason}"),
    )


def _others(assignment: Assignment) -> Control:
    return Control(is_own=False, fuel=assignment, power=assignment)


def _category(number: int, rule: str, why: str) -> Assignment:
    reason = f"{why}: category {number}, {CATEGORIES[number].name} ({TABLE})"
    return Assignment(scope=3, category=number, rule=rule, reason=reason)
