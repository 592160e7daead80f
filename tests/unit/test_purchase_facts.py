"""A supplier's declaration takes the place of what spend estimated, for the share it covers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from carbon_ledger.claims.facts import Fact
from carbon_ledger.claims.supersession import resolve
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.purchasing.declarations import lines_of_declaration
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchase_facts import fact_of_declaration, facts_of_purchase
from carbon_ledger.purchasing.purchases import lines_of_purchase
from carbon_ledger.reference.records import SupplierItem
from tests.support.purchase_examples import (
    NOW,
    declaration,
    inventory_of,
    material_factor,
    purchase,
    spend_factor,
)

INVENTORY = inventory_of(
    [spend_factor("331110", "0.8"), material_factor("Pig iron", "2")],
    SupplierItem(supplier_id="steelworks", product_id="urn:x:1", item_id="beam"),
)
BEAMS: dict[str, Any] = {"item_id": "beam", "quantity": "1000", "unit": "kg"}


def estimated(event: PurchaseOrderEvent) -> tuple[Fact, ...]:
    return facts_of_purchase(event, lines_of_purchase(event, INVENTORY), NOW)


def declared(*purchases: PurchaseOrderEvent, **changes: Any) -> Fact:
    event = declaration(**changes)
    return fact_of_declaration(
        event, lines_of_declaration(event, INVENTORY), purchases, NOW, INVENTORY
    )


def counted(*facts: Fact) -> Fraction:
    standing = resolve(facts, INVENTORY.policy)
    return sum((fact.figure.exact() * standing[fact.fact_id].share for fact in facts), Fraction(0))


def test_half_a_purchase_by_footprint_leaves_half_of_the_estimate() -> None:
    bought = purchase(**BEAMS)
    (spend,) = estimated(bought)
    footprint = declared(bought, product_id="urn:x:1")
    assert footprint.claim == spend.claim
    assert footprint.covers == (spend.activity_ref,)
    assert counted(spend, footprint) == 1000 + spend.figure.exact() / 2


def test_named_lines_need_no_item() -> None:
    bought = purchase(quantity="500", unit="kg")
    (spend,) = estimated(bought)
    footprint = declared(bought, purchase_order_lines=("inv-1/1",))
    assert counted(spend, footprint) == 1000


def test_a_successor_takes_the_place_of_a_deprecated_footprint() -> None:
    bought = purchase(quantity="500", unit="kg")
    (spend,) = estimated(bought)
    named = {"purchase_order_lines": ("inv-1/1",)}
    old = declared(bought, footprint_status="Deprecated", **named)
    new = declared(
        bought,
        declaration_id="pf-2:2024-05-01",
        preceding_ids=("pf-1",),
        fossil_kgco2e_per_unit="2.9",
        **named,
    )
    assert new.preceding == (old.fact_id,)
    assert counted(spend, old, new) == 1500


def test_a_hybrid_figure_counts_with_its_fills() -> None:
    bought = purchase(quantity="500", unit="kg")
    (spend,) = estimated(bought)
    iron = '{"family":"material","selectors":{"item":"Pig iron"},"quantity":"0.1","unit":"kg"}'
    hybrid = declared(
        bought,
        boundary="gate_to_gate",
        upstream_inputs=(iron,),
        purchase_order_lines=("inv-1/1",),
    )
    assert (hybrid.rank, hybrid.is_filled) == (3, True)
    # 500 kg x 2, and 0.1 kg of pig iron at 2 kgCO2e in each.
    assert counted(spend, hybrid) == Decimal(1100)


def test_evidence_makes_no_fact() -> None:
    assert estimated(purchase(document_kind="purchase_order")) == ()
    assert estimated(purchase(classification="naics:484121")) == ()


def test_capital_goods_and_goods_are_two_claims() -> None:
    (goods,) = estimated(purchase())
    (capital,) = estimated(purchase(is_capital=True))
    assert (goods.claim.category, capital.claim.category) == (1, 2)


def test_a_footprint_of_nothing_that_was_bought_is_refused() -> None:
    with pytest.raises(RejectedRecord) as refusal:
        declared(purchase(**BEAMS), product_id="urn:x:2")
    assert refusal.value.code == "purchases_not_named"


def test_a_total_that_does_not_say_what_it_covers_is_refused() -> None:
    with pytest.raises(RejectedRecord) as refusal:
        declared(
            kind="allocated_total",
            scope1_kgco2e="1",
            scope2_location_kgco2e="1",
            upstream_kgco2e="1",
            coverage_share="0.5",
            timestamp=datetime(2024, 5, 1, tzinfo=UTC),
        )
    assert refusal.value.code == "coverage_not_comparable"
