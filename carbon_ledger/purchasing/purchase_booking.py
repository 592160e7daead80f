"""Which document line of a purchase books it, and why another does not.

Belongs here: orders and second documents, the group's own sales, tax, category 1 or 2. Does not:
figures (purchases), streams that count a purchase (spend_routes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import CANCELLED, Assignment
from carbon_ledger.purchasing.purchase_events import (
    GOODS_RECEIPT,
    INVOICE,
    PURCHASE_ORDER,
    PurchaseOrderEvent,
)

_TABLE = "GHG Protocol Scope 3 Standard (2011), table 5.4"
_BOOKING_ORDER: Final = (GOODS_RECEIPT, INVOICE)
_GROUP_KINDS: Final = ("parent", "subsidiary")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Why a document books nothing."""

    assignment: Assignment
    flag: str


def not_booked(
    event: PurchaseOrderEvent, siblings: Sequence[PurchaseOrderEvent], inventory: Inventory
) -> Evidence | None:
    """Why a document line books nothing, None if it books; raises what `booking_kind` raises."""
    own = purchase_assignment(event)
    if event.is_cancelled:
        return Evidence(
            assignment=replace(
                own,
                rule="PURCHASE-CANCELLED",
                reason="the line was deleted or cancelled at its source; nothing of it stands",
            ),
            flag=CANCELLED,
        )
    if is_intra_group(event, inventory):
        return Evidence(
            assignment=replace(
                own,
                rule="PURCHASE-INTRA-GROUP",
                reason="the seller is consolidated: its emissions are in the group's scopes 1 to 3 "
                "already (GHG Protocol Scope 3 Standard, chapters 5 and 9)",
            ),
            flag="intra_group_eliminated",
        )
    if event.document_kind == PURCHASE_ORDER:
        return Evidence(
            assignment=replace(
                own,
                rule="PURCHASE-COMMITMENT",
                reason="an order is a commitment; the goods receipt or the invoice books",
            ),
            flag="commitment",
        )
    if event.line_kind == "tax":
        return Evidence(
            assignment=replace(
                own, rule="PURCHASE-TAX", reason="tax billed apart buys nothing that emits"
            ),
            flag="tax_line",
        )
    if event.document_kind in _BOOKING_ORDER:
        kind = booking_kind((event, *siblings), inventory)
        if kind != event.document_kind:
            return Evidence(
                assignment=replace(
                    own,
                    rule="PURCHASE-SECOND-DOCUMENT",
                    reason=f"order line {event.order_ref} is booked by its {kind} lines",
                ),
                flag="booked_by_other_document",
            )
    return None


def is_intra_group(event: PurchaseOrderEvent, inventory: Inventory) -> bool:
    """Whether the seller is consolidated: the event says so, or the register knows it as one of
    the group. An associate is not: purchases from it stay in category 1.
    """
    if event.is_intra_group:
        return True
    on = event.occurred_from.date()
    supplier = inventory.register.supplier(event.supplier_id, on)
    if supplier is None or supplier.entity_id is None:
        return False
    entity = inventory.register.entity(supplier.entity_id, on)
    return entity is not None and entity.kind in _GROUP_KINDS


def booking_kind(documents: Sequence[PurchaseOrderEvent], inventory: Inventory) -> str:
    """Which kind of document books the order line these documents are about.

    The policy's kind; under `first`, the kind of the document with the earliest period (a goods
    receipt before an invoice of the same moment), whichever arrived first: so the answer does not
    depend on the order of arrival. Of two revisions of a document the later counts.
    """
    policy = inventory.policy.booking_document
    if policy != "first":
        return policy
    latest: dict[str, PurchaseOrderEvent] = {}
    for document in documents:
        if document.order_ref != documents[0].order_ref:
            raise RejectedRecord(
                "another_order_line",
                f"{document.line_ref} is of order line {document.order_ref}",
                field="siblings",
                value=document.order_ref,
                valid=documents[0].order_ref,
            )
        known = latest.get(document.activity_ref)
        if known is None or known.revision < document.revision:
            latest[document.activity_ref] = document
    booking = [
        one
        for one in latest.values()
        if one.document_kind in _BOOKING_ORDER and not one.is_cancelled
    ]
    first = min(booking, key=lambda one: (one.timestamp, _BOOKING_ORDER.index(one.document_kind)))
    return first.document_kind


def purchase_assignment(event: PurchaseOrderEvent) -> Assignment:
    """Category 1, or 2 for what is capitalised (DC10)."""
    if event.is_capital:
        return Assignment(
            scope=3,
            category=2,
            rule="PURCHASE-CAPITAL",
            reason=f"capitalised: category 2, whole in the year it is acquired ({_TABLE})",
        )
    return Assignment(
        scope=3,
        category=1,
        rule="PURCHASE-GOODS",
        reason=f"purchased good or service, up to the supplier's gate: category 1 ({_TABLE})",
    )
