"""What a purchase is of: its sector, or the stream that counts it instead.

Belongs here: reading classification and account, the sectors that other streams count. Does not:
the mapping of purchasing codes (the register), the factor of a sector (spend).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import Assignment
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.reference.register import Register

SPEND: Final = "spend"
ENERGY: Final = "energy"
FUEL: Final = "fuel"
FREIGHT: Final = "freight"
TRAVEL: Final = "travel"
WASTE: Final = "waste"

NAICS: Final = "naics"

# Sectors (NAICS 2017, longest prefix wins) whose purchases another stream counts from activities:
# meters, vehicles, shipments, trips, waste. A registered mapping that says otherwise comes first.
ROUTE_OF_SECTOR: Final[dict[str, str]] = {
    "2211": ENERGY,
    "2212": ENERGY,
    "221330": ENERGY,
    "324110": FUEL,
    "4247": FUEL,
    "4471": FUEL,
    "454310": FUEL,
    "481111": TRAVEL,
    "481211": TRAVEL,
    "481112": FREIGHT,
    "481212": FREIGHT,
    "482": FREIGHT,
    "483111": FREIGHT,
    "483113": FREIGHT,
    "483211": FREIGHT,
    "483112": TRAVEL,
    "483114": TRAVEL,
    "483212": TRAVEL,
    "484": FREIGHT,
    "485": TRAVEL,
    "488510": FREIGHT,
    "492": FREIGHT,
    "493": FREIGHT,
    "532111": TRAVEL,
    "5615": TRAVEL,
    "562": WASTE,
    "7211": TRAVEL,
}

_TABLE = "GHG Protocol Scope 3 Standard (2011), table 5.4"
ROUTE_ASSIGNMENTS: Final[dict[str, Assignment]] = {
    ENERGY: Assignment(
        scope=2,
        category=None,
        rule="PURCHASE-ROUTE-ENERGY",
        reason="purchased energy is counted from its meters; the bill is the check of their "
        "completeness (GHG Protocol Corporate Standard, chapter 4)",
    ),
    FUEL: Assignment(
        scope=1,
        category=None,
        rule="PURCHASE-ROUTE-FUEL",
        reason="fuel burnt in own vehicles and plants is counted from its litres; the purchase of "
        "the same litres adds nothing (GHG Protocol Corporate Standard, chapter 4)",
    ),
    FREIGHT: Assignment(
        scope=3,
        category=4,
        rule="PURCHASE-ROUTE-FREIGHT",
        reason=f"transport the reporter pays is category 4, counted from its shipments ({_TABLE})",
    ),
    TRAVEL: Assignment(
        scope=3,
        category=6,
        rule="PURCHASE-ROUTE-TRAVEL",
        reason=f"business travel is category 6, counted from its trips ({_TABLE})",
    ),
    WASTE: Assignment(
        scope=3,
        category=5,
        rule="PURCHASE-ROUTE-WASTE",
        reason=f"treatment of waste is category 5, counted from its masses ({_TABLE})",
    ),
}
# What a sector's factor can stand for: what the carrier or operator emits. What a buyer burns is
# not in the factor of the sector that sold it.
SPEND_CAN_STAND_FOR: Final = (FREIGHT, TRAVEL, WASTE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a line is of: `route` is `spend` or a stream; no sector: it is not mapped."""

    route: str
    naics_code: str | None
    how: str


def target_of(event: PurchaseOrderEvent, on: date, register: Register) -> Target:
    """The sector of a line, and the stream it is routed to.

    A freight line is freight, of the sector its codes name if that is one of freight. Else whatever
    the account or the classification routes to another stream goes there; else the sector is the
    classification's, or the account's. A code `naics:…` is its own sector unless a mapping says
    otherwise.
    """
    found = [
        target
        for code in (event.classification, event.account)
        if code is not None and (target := _mapped(code, on, register)) is not None
    ]
    if event.line_kind == "freight":
        apart = Target(route=FREIGHT, naics_code=None, how="freight billed apart")
        return next((target for target in found if target.route == FREIGHT), apart)
    for target in found:
        if target.route != SPEND:
            return target
    return found[0] if found else Target(route=SPEND, naics_code=None, how="no mapping")


def _mapped(text: str, on: date, register: Register) -> Target | None:
    system, _, code = text.partition(":")
    mapping = register.spend_mapping(system, code, on)
    if mapping is not None:
        route, naics = mapping.route, mapping.naics_code
        how = f"{text} is mapped to {naics or route} from {mapping.valid_from}"
        if route == SPEND and naics is not None and system != NAICS:
            route = route_of_sector(naics)
        return Target(route=route, naics_code=naics, how=how)
    if system != NAICS:
        return None
    if not (code.isdigit() and 2 <= len(code) <= 6):
        raise RejectedRecord(
            "not_a_naics_code",
            f"{code!r} is no NAICS code",
            field="classification",
            value=text,
            valid="2 to 6 digits, such as naics:331110",
        )
    return Target(route=route_of_sector(code), naics_code=code, how=f"{text} is a sector itself")


def route_of_sector(naics_code: str) -> str:
    """The stream that counts purchases of a sector; `spend` where none does."""
    for length in range(len(naics_code), 0, -1):
        route = ROUTE_OF_SECTOR.get(naics_code[:length])
        if route is not None:
            return route
    return SPEND
