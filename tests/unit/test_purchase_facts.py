"""A supplier's declaration takes the place of what spend estimated, for the share it covers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from carbon_ledger.claims.facts import Fact
from carbon_ledger.claims.supersession import resolve
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.purchasing.declarations import lines_of_declaration
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchase_facts import fact_of_declaration, facts_of_purchase
from carbon_ledger.purchasing.purchases import lines_of_purchase
from carbon_ledger.reference.records import Site, SupplierItem
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


@pytest.mark.parametrize(
    ("registered", "changes", "covered"),
    [
        # 20 bars of 25 kg of the supplier's are half of the 1,000 kg bought.
        ({"unit": "kg", "units_per_product": "25"}, {}, (Decimal(500), "kg")),
        ({"unit": "t", "units_per_product": "0.025"}, {}, (Decimal("0.5"), "t")),
        (
            {"unit": "kg", "units_per_product": "25"},
            {"unit": "dozen", "quantity": "2"},
            (Decimal(600), "kg"),
        ),
        # A pack of twelve of our pieces.
        ({"unit": "piece", "units_per_product": "12"}, {}, (Decimal(240), "piece")),
        # Not registered how much one is, or not counted in products: as it was declared.
        ({}, {}, (Decimal(20), "piece")),
        ({"unit": "kg"}, {}, (Decimal(20), "piece")),
        ({"units_per_product": "25"}, {}, (Decimal(20), "piece")),
        ({"unit": "kg", "units_per_product": "25"}, {"unit": "kg"}, (Decimal(20), "kg")),
        (
            {"unit": "kg", "units_per_product": "25"},
            {"quantity_unit": "kg", "product_mass_kg": "25"},
            (Decimal(20), "kg"),
        ),
        (
            {"unit": "kg", "units_per_product": "25"},
            {"quantity_unit": "dozen"},
            (Decimal(20), "dozen"),
        ),
    ],
)
def test_products_of_the_supplier_stand_for_the_amount_of_our_item_that_they_are(
    registered: dict[str, str], changes: dict[str, Any], covered: tuple[Decimal, str]
) -> None:
    item = SupplierItem(
        supplier_id="steelworks", product_id="urn:x:1", item_id="beam", **registered
    )
    inventory = inventory_of([spend_factor("331110", "0.8")], item)
    event = declaration(**{"product_id": "urn:x:1", "quantity": "20", "unit": "piece", **changes})
    fact = fact_of_declaration(
        event, lines_of_declaration(event, inventory), [purchase(**BEAMS)], NOW, inventory
    )
    assert (fact.covered.value, fact.covered.unit) == covered


def test_a_footprint_per_product_leaves_the_rest_of_the_purchase_to_the_estimate() -> None:
    item = SupplierItem(
        supplier_id="steelworks",
        product_id="urn:x:1",
        item_id="beam",
        unit="kg",
        units_per_product="25",
    )
    inventory = inventory_of([spend_factor("331110", "0.8")], item)
    bought = purchase(**BEAMS)
    event = declaration(product_id="urn:x:1", quantity="10", unit="piece")
    footprint = fact_of_declaration(
        event, lines_of_declaration(event, inventory), [bought], NOW, inventory
    )
    (spend,) = facts_of_purchase(bought, lines_of_purchase(bought, inventory), NOW)
    # 10 pieces of 2 kgCO2e each, and three quarters of the estimate.
    assert counted(spend, footprint) == 20 + spend.figure.exact() * Fraction(3, 4)


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


def test_a_credit_note_of_the_next_year_is_a_fact_with_its_invoices_factor() -> None:
    iron = {"material_item": "Pig iron", "unit": "kg"}
    invoice = purchase(quantity="100", timestamp=datetime(2024, 12, 10, tzinfo=UTC), **iron)
    (booked,) = lines_of_purchase(invoice, INVENTORY)
    credit = purchase(
        document_id="cr-1",
        document_kind="credit_note",
        amount_net="-100",
        quantity="-10",
        timestamp=datetime(2025, 2, 1, tzinfo=UTC),
        **iron,
    )
    (fact,) = facts_of_purchase(credit, lines_of_purchase(credit, INVENTORY, credited=booked), NOW)
    assert fact.figure.exact() == -20
    with pytest.raises(BrokenInvariant, match="not on 2025-02-01"):
        facts_of_purchase(
            invoice, [replace(booked, occurred_from=datetime(2025, 2, 1, tzinfo=UTC))], NOW
        )


# A site in Berlin begins its year an hour before UTC does, one in New York five hours after.
ZONES = ["Europe/Berlin", "UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago"]


@pytest.mark.parametrize("zone", ZONES)
def test_a_purchase_over_two_years_has_in_each_its_part_of_the_amounts(zone: str) -> None:
    site = Site(facility_id="f-1", organization_id="acme", country_iso2="DE", time_zone=zone)
    inventory = inventory_of([spend_factor("331110", "0.8")], site)
    bought = purchase(
        facility_id="f-1",
        timestamp=datetime(2023, 12, 17, tzinfo=UTC),
        interval_seconds=30 * 86400,
        quantity="1000",
        unit="kg",
    )
    facts = facts_of_purchase(bought, lines_of_purchase(bought, inventory), NOW)
    assert [fact.claim.period for fact in facts] == ["2023-12", "2024-01"]
    assert len({fact.fact_id for fact in facts}) == 2
    for unit in ("EUR", "kg"):
        parts = [one.value for fact in facts for one in fact.amounts if one.unit == unit]
        assert abs(sum(parts) - 1000) < Decimal("1E-60")
    if zone == "UTC":
        assert [one.value for one in facts[0].amounts] == [500, 500]
        # All that was delivered in December is covered, so nothing of its estimate is left.
        half = declaration(
            timestamp=datetime(2023, 12, 1, tzinfo=UTC),
            purchase_order_lines=("inv-1/1",),
            quantity="500",
        )
        footprint = fact_of_declaration(
            half, lines_of_declaration(half, inventory), (bought,), NOW, inventory
        )
        standing = resolve((facts[0], footprint), inventory.policy)
        assert standing[facts[0].fact_id].role == "covered"
