"""The category of a leg: who carried it, who paid.

Belongs here: the decision between categories 4 and 9, and own transport. Does not: figures
(carbon_ledger.transport.shipments), other activities (carbon_ledger.organisation.scopes).
"""

from __future__ import annotations

from datetime import date

from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Assignment
from carbon_ledger.organisation.categories import CATEGORIES, TABLE
from carbon_ledger.organisation.scopes import assign
from carbon_ledger.transport.shipment_events import BUYER_PAYS, SELLER_PAYS, ShipmentEvent
from carbon_ledger.transport.vehicle_control import is_own_rental


def assignment_of(
    event: ShipmentEvent, on: date, inventory: Inventory
) -> tuple[Assignment, frozenset[str]]:
    """The category by who pays, unless an own vehicle carried it, whose fuel is counted itself.

    What a customer pays is of sold goods (9); what the company pays, and what suppliers send it, is
    4 (Scope 3 Standard, table 5.4). Flags: `incoterm_contradicts_payer`, `carrier_unknown`,
    `vehicle_unregistered`.
    """
    flags: set[str] = set()
    if event.vehicle_id is not None and inventory.register.vehicle(event.vehicle_id, on) is None:
        flags.add("vehicle_unregistered")
    own = _own_carrier(event, on, inventory)
    if own is not None:
        return own, frozenset(flags)
    if _contradicts(event):
        flags.add("incoterm_contradicts_payer")
    if event.carrier_id is None:
        flags.add("carrier_unknown")
    if event.payer == "reporter":
        why = "transport the company pays"
        reason = f"{why}: category 4, {CATEGORIES[4].name} ({TABLE})"
        return Assignment(scope=3, category=4, rule="S3-4-PAYER", reason=reason), frozenset(flags)
    leg = "inbound" if event.payer == "supplier" else "outbound"
    facts = {"operator": "third_party", "leg": leg, "paid_by": event.payer}
    return assign("transport", facts, inventory.policy), frozenset(flags)


def _own_carrier(event: ShipmentEvent, on: date, inventory: Inventory) -> Assignment | None:
    register = inventory.register
    why = None
    if event.vehicle_id is not None:
        vehicle = register.vehicle(event.vehicle_id, on)
        if (
            vehicle is None
            or vehicle.ownership in ("own", "leased")
            or is_own_rental(vehicle.ownership, vehicle.operational_control, inventory.policy)
        ):
            why = f"carried by own vehicle {event.vehicle_id}"
    elif event.carrier_id is not None:
        entity = register.entity(event.carrier_id, on)
        if entity is not None and entity.kind in ("parent", "subsidiary"):
            why = f"carried by {event.carrier_id} of the group"
    if why is None:
        return None
    return Assignment(
        scope=0,
        category=None,
        rule="COUNTED-BY-VEHICLE",
        reason=f"{why}: what it uses is counted by its own records, the shipment informs only",
    )


def _contradicts(event: ShipmentEvent) -> bool:
    """Whether the Incoterms rule makes another party pay the main carriage than the one that did.

    Where the company itself paid, it can be buyer or seller, and no rule contradicts.
    """
    return (event.payer == "customer" and event.incoterm in SELLER_PAYS) or (
        event.payer == "supplier" and event.incoterm in BUYER_PAYS
    )
