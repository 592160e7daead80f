"""Purchases and suppliers' declarations as facts of one claim, for supersession to decide between.

Belongs here: which claim they share, what a declaration stands for. Does not: which of them counts
(carbon_ledger.claims.supersession), their figures (purchases, declarations).

The claim is what one entity bought from one supplier in a month, in category 1 or 2. A footprint
stands for the purchase lines it names, or those of its item; a total for all of the claim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from carbon_ledger.claims.claims import ClaimKey
from carbon_ledger.claims.facts import Fact, Figure
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.supplier_events import (
    DEPRECATED,
    PRODUCT_FOOTPRINT,
    SupplierDeclarationEvent,
)
from carbon_ledger.quantities import CONVERSION, PRODUCT
from carbon_ledger.reference.records import SupplierItem
from carbon_ledger.units import Quantity, convert, dimension_of
from carbon_ledger.workings import Term

PURCHASE_CATEGORIES: Final = (1, 2)

# A later part begins with a year of the site, which is at most 14 hours before that of UTC: so much
# later it is January everywhere, and the part is not of the month before.
_LATEST_NEW_YEAR: Final = timedelta(hours=14)
_MICROSECOND: Final = timedelta(microseconds=1)


def claim_of(entity_id: str, supplier_id: str, category: int, moment: datetime) -> ClaimKey:
    """The claim of what an entity bought from a supplier in the month (UTC) of a moment."""
    return ClaimKey(
        entity_id=entity_id,
        activity_ref=f"supplier:{supplier_id}",
        category=category,
        period=f"{moment:%Y-%m}",
    )


def facts_of_purchase(
    event: PurchaseOrderEvent, lines: Sequence[EmissionLine], known_at: datetime
) -> tuple[Fact, ...]:
    """The estimates a document line makes, one per line; none for evidence, which makes none.

    The line of one year of several has that year's part of the amounts, pro rata of time as its
    figure. Raises what Fact raises.
    """
    facts = []
    for line in lines:
        category = line.assignment.category
        if not line.rank or category not in PURCHASE_CATEGORIES:
            continue
        begins, ends = line.occurred_from or event.occurred_from, line.occurred_to
        month = begins if begins == event.occurred_from else begins + _LATEST_NEW_YEAR
        facts.append(
            Fact(
                claim=claim_of(event.entity_id, event.supplier_id, category, month),
                fact_id=f"{event.activity_ref}@{month:%Y-%m}",
                revision=event.revision,
                kind="estimate",
                rank=line.rank,
                activity_ref=event.activity_ref,
                figure=Figure.of(line),
                created=event.timestamp,
                known_at=known_at,
                occurred_from=begins,
                occurred_to=ends or event.occurred_to,
                amounts=_amounts(event, begins, ends or event.occurred_to),
                supplier_id=event.supplier_id,
                item_id=event.item_id or "",
                flags=line.flags,
            )
        )
    return tuple(facts)


def _amounts(event: PurchaseOrderEvent, begins: datetime, ends: datetime) -> tuple[Quantity, ...]:
    """What was bought in a part of the event's period, in every unit that is stated."""
    stated = [(event.amount_net, event.currency)]
    if event.quantity is not None and event.unit is not None:
        stated.append((event.quantity, event.unit))
    if (begins, ends) == (event.occurred_from, event.occurred_to):
        return tuple(Quantity(value=value, unit=unit) for value, unit in stated)
    part, whole = (
        Decimal(span // _MICROSECOND)
        for span in (ends - begins, event.occurred_to - event.occurred_from)
    )
    return tuple(
        Quantity(value=CONVERSION.divide(PRODUCT.multiply(value, part), whole), unit=unit)
        for value, unit in stated
    )


def fact_of_declaration(
    event: SupplierDeclarationEvent,
    lines: Sequence[EmissionLine],
    purchases: Sequence[PurchaseOrderEvent],
    known_at: datetime,
    inventory: Inventory,
) -> Fact:
    """The specific figure a declaration of one month makes: its own line and its fills together.

    `purchases` are the month's from the supplier, by which the lines of a footprint's item are
    found. Raises RejectedRecord `purchases_not_named` where a footprint names no line and none is
    of its item, `coverage_not_comparable` where it does not say how much it stands for.
    """
    own = [line for line in lines if line.assignment.category in PURCHASE_CATEGORIES]
    first = own[0]
    return Fact(
        claim=claim_of(
            event.entity_id,
            event.supplier_id,
            first.assignment.category or PURCHASE_CATEGORIES[0],
            event.occurred_from,
        ),
        fact_id=event.activity_ref,
        revision=event.revision,
        status="deprecated" if event.footprint_status == DEPRECATED else "active",
        kind="specific",
        rank=first.rank,
        activity_ref=event.activity_ref,
        figure=_figure(own),
        created=event.created or event.timestamp,
        known_at=known_at,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        covered=_covered(event, inventory),
        covers=_covers(event, purchases, inventory),
        supplier_id=event.supplier_id,
        item_id=event.product_id or "",
        boundary="gate_to_gate" if event.upstream_inputs else "cradle_to_gate",
        is_filled=bool(event.upstream_inputs),
        reference_from=None if event.reference_to is None else event.reference_from,
        reference_to=None if event.reference_from is None else event.reference_to,
        expires=event.valid_to,
        preceding=tuple(
            f"supplier:{event.supplier_id}@{one}:{event.occurred_from.date().isoformat()}"
            for one in event.preceding_ids
        ),
        flags=tuple(sorted({flag for line in own for flag in line.flags})),
    )


def _figure(lines: Sequence[EmissionLine]) -> Figure:
    """All lines of a declaration as one figure, the gases of each added up."""
    gas_terms: dict[str, tuple[Term, ...]] = defaultdict(tuple)
    terms: tuple[Term, ...] = ()
    for line in lines:
        part = Figure.of(line)
        terms += part.terms
        for gas, more in part.gas_terms:
            gas_terms[gas] += more
    return Figure(
        formula=lines[0].working.formula, terms=terms, gas_terms=tuple(sorted(gas_terms.items()))
    )


def _covered(event: SupplierDeclarationEvent, inventory: Inventory) -> Quantity:
    """What of the claim it stands for: a number of the supplier's products as the amount of our
    item that it is, where the register says so (accounting.md 4: from product id to order lines).
    """
    if event.kind == PRODUCT_FOOTPRINT and event.quantity is not None:
        unit = event.quantity_unit or event.unit or ""
        item = _item(event, inventory)
        is_of_theirs = unit == event.unit and dimension_of(unit) == "count"
        if is_of_theirs and item is not None and item.unit and item.units_per_product:
            return Quantity(
                value=PRODUCT.multiply(
                    convert(event.quantity, unit, "piece"), item.units_per_product
                ),
                unit=item.unit,
            )
        return Quantity(value=event.quantity, unit=unit)
    if event.allocation_part is not None and event.allocation_unit is not None:
        return Quantity(value=event.allocation_part, unit=event.allocation_unit)
    raise RejectedRecord(
        "coverage_not_comparable",
        f"{event.declaration_id} does not say how much of what was bought it stands for",
        field="allocation_part",
        valid="a quantity bought, or our part of an allocation key",
    )


def _item(event: SupplierDeclarationEvent, inventory: Inventory) -> SupplierItem | None:
    """Which of our items the supplier's product is, as registered."""
    if event.product_id is None:
        return None
    on = event.occurred_from.date()
    return inventory.register.supplier_item(event.supplier_id, event.product_id, on)


def _covers(
    event: SupplierDeclarationEvent, purchases: Sequence[PurchaseOrderEvent], inventory: Inventory
) -> tuple[str, ...]:
    if event.purchase_order_lines:
        return tuple(f"purchase:{line}" for line in event.purchase_order_lines)
    if event.kind != PRODUCT_FOOTPRINT:
        return ()
    known = _item(event, inventory)
    item_id = event.product_id if known is None else known.item_id
    found = {
        one.activity_ref
        for one in purchases
        if one.item_id is not None
        and (one.supplier_id, one.item_id) == (event.supplier_id, item_id)
    }
    if found:
        return tuple(sorted(found))
    raise RejectedRecord(
        "purchases_not_named",
        f"{event.declaration_id} names no purchase line, and none is of item {item_id}",
        field="purchase_order_lines",
        value=item_id,
        valid="document_id/line_no of purchases, or a registered item of the supplier's product",
    )
