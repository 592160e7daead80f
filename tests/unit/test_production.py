"""What a supplier's site reports of its production: fields, our part of its figures, refusals."""

from __future__ import annotations

import json
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.calculation import EVENT_KINDS, calculate, lines_of_supplier, total
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import avro_fields
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import Policy
from carbon_ledger.purchasing.declaration_checks import check_against_purchases
from carbon_ledger.purchasing.production import lines_of_production
from carbon_ledger.purchasing.production_events import (
    SHARED,
    SupplierProductionEvent,
    supplier_event,
)
from carbon_ledger.purchasing.purchase_facts import fact_of_declaration
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent
from carbon_ledger.stream_events import event_of, widest_schema_file
from factor_seeds.load import shipped_book
from pipeline.producers import EVENT_CLASSES_OF_TOPIC
from pipeline.serialization import schema_name
from tests.support.purchase_examples import declaration, purchase

NOW = datetime(2026, 6, 1, tzinfo=UTC)
INVENTORY = Inventory(book=shipped_book(), now=NOW)
STEEL = (
    '{"family":"material","quantity":"500","selectors":{"item":"Metal: steel cans","treatment":'
    '"Primary material production"},"unit":"kg"}'
)


def fuel(**selectors: str) -> str:
    chosen = {"fuel_group": "Gaseous fuels", "fuel": "Natural gas", "stage": "combustion"}
    return json.dumps(
        {
            "family": "fuel",
            "selectors": {**chosen, **selectors},
            "quantity": "20000",
            "unit": "m3",
        }
    )


GIVEN: dict[str, Any] = {
    "declaration_id": "SITE-1",
    "supplier_id": "steelworks",
    "entity_id": "acme-de",
    "kind": "site_production",
    "production_site_id": "steelworks.1",
    "product_id": "coil",
    "quantity": "120",
    "produced_quantity": "900",
    "unit": "t",
    "scope1_kgco2e": "410200.5",
    "scope2_location_kgco2e": "98000",
    "upstream_kgco2e": "700001",
    "boundary": "cradle_to_gate",
    "gwp_set": "AR6",
    "timestamp": "2024-05-01T00:00:00Z",
    "interval_seconds": 31 * 86400,
}


def report(**changes: Any) -> SupplierProductionEvent:
    return SupplierProductionEvent(**{**GIVEN, **changes})


def refusal(**changes: Any) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as caught:
        lines_of_production(report(**changes), INVENTORY)
    return caught.value


def test_our_part_is_what_was_made_for_us_of_all_that_was_made() -> None:
    (line,) = lines_of_production(report(allocated_kgco2e="161093.5"), INVENTORY)
    assert f"{line.kgco2e:f}" == "161093.533333333333"
    assert (line.assignment.scope, line.assignment.category) == (3, 1)
    assert (line.method, line.rank, line.primary_share) == ("supplier-specific", 4, 1)
    assert (line.quantity, line.unit) == (120, "t")
    assert line.working.formula.formula_id == "S3-1-SITE"


@given(ours=st.integers(0, 10**6), made=st.integers(1, 10**6))
def test_two_customers_of_one_batch_share_all_of_it(ours: int, made: int) -> None:
    """Physical allocation: parts of one production add up to its whole."""
    ours = min(ours, made)
    parts = [
        total(lines_of_production(report(quantity=one, produced_quantity=made), INVENTORY))
        for one in (ours, made - ours)
    ]
    assert abs(sum(parts) - Decimal("1208201.5")) <= Decimal("1e-12")


def test_capital_goods_are_category_2() -> None:
    (line,) = lines_of_production(report(is_capital=True), INVENTORY)
    assert line.assignment.category == 2


def test_scope_2_is_the_basis_of_the_policy_else_the_other_one_flagged() -> None:
    market = Inventory(book=INVENTORY.book, now=NOW, policy=Policy(supplier_scope2="market"))
    both = report(scope2_market_kgco2e="0")
    (line,) = lines_of_production(both, market)
    assert f"{line.kgco2e:f}" == "148026.866666666667"
    assert [term.operands[0].label for term in line.working.terms] == [
        *("the site's scope 1", "the site's scope 2 market", "the site's upstream"),
    ]
    (line,) = lines_of_production(report(), market)
    assert "scope2_other_basis" in line.flags
    assert "the site's scope 2 location" in "\n".join(line.working.written())


def test_what_is_not_stated_is_filled_by_averages_and_ranks_as_hybrid() -> None:
    lines = lines_of_production(
        report(
            scope1_kgco2e=None,
            scope2_location_kgco2e=None,
            upstream_kgco2e=None,
            electricity_kwh="310000",
            geography_country_iso2="DE",
            fuels=(fuel(),),
            upstream_inputs=(STEEL,),
            allocated_kgco2e="1",
        ),
        INVENTORY,
    )
    assert [(one.working.formula.formula_id, one.basis) for one in lines] == [
        ("S3-1-HYBRID-FILL", "combustion"),
        ("S3-1-SITE-ELECTRICITY", "location"),
        ("S3-1-HYBRID-FILL", "cradle_to_gate"),
    ]
    assert {(one.method, one.rank, one.primary_share) for one in lines} == {("hybrid", 3, 0)}
    assert all("hybrid_fill" in one.flags for one in lines)
    assert all("allocated_figure_not_compared" in one.flags for one in lines)
    power = lines[1]
    assert power.factor is not None
    assert power.factor.factor.country_iso2 == "DE"
    expected = Decimal(310000) * power.factor.factor.kgco2e_per_unit * 120 / 900
    assert abs(power.kgco2e - expected) <= Decimal("1e-12")


def test_a_stated_figure_counts_and_the_energy_beside_it_is_evidence() -> None:
    stated = lines_of_production(report(), INVENTORY)
    beside = lines_of_production(
        report(electricity_kwh="1", fuels=(fuel(),), geography_country_iso2="DE"), INVENTORY
    )
    assert [one.kgco2e for one in beside] == [one.kgco2e for one in stated]


# What is changed, and the code and field it is refused with.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"production_site_id": None}, "production_site_missing", "production_site_id"),
    ({"product_id": None}, "product_missing", "product_id"),
    ({"quantity": None}, "quantity_missing", "quantity"),
    ({"unit": None}, "unit_missing", "unit"),
    ({"produced_quantity": None}, "produced_quantity_missing", "produced_quantity"),
    ({"interval_seconds": 0}, "period_missing", "interval_seconds"),
    ({"produced_quantity": "0"}, "not_positive", "produced_quantity"),
    ({"quantity": "900.000001"}, "share_out_of_range", "quantity"),
    ({"quantity": "-1"}, "negative_quantity", "quantity"),
    ({"scope1_kgco2e": "-1"}, "negative_quantity", "scope1_kgco2e"),
    ({"unit": "furlong"}, "unknown_unit", "unit"),
    ({"kind": "corporate_total"}, "unknown_declaration_kind", "kind"),
    ({"fuels": (STEEL,)}, "not_a_fuel", "fuels"),
    ({"scope1_kgco2e": None}, "scope1_missing", "scope1_kgco2e"),
    ({"scope2_location_kgco2e": None}, "scope2_missing", "scope2_location_kgco2e"),
    (
        {"scope2_location_kgco2e": None, "electricity_kwh": "1"},
        "country_missing",
        "geography_country_iso2",
    ),
    ({"upstream_kgco2e": None}, "boundary_without_fill", "upstream_kgco2e"),
    ({"upstream_inputs": (STEEL,)}, "upstream_twice", "upstream_inputs"),
    ({"boundary": "cradle_to_grave"}, "boundary_beyond_gate", "boundary"),
    ({"gwp_set": "AR4"}, "gwp_set_too_old", "gwp_set"),
    ({"allocated_kgco2e": "159000"}, "allocation_disagrees", "allocated_kgco2e"),
    ({"allocated_kgco2e": "163000"}, "allocation_disagrees", "allocated_kgco2e"),
    (
        {"scope1_kgco2e": None, "fuels": (fuel(stage="wtt"),)},
        "not_a_combustion_factor",
        "fuels",
    ),
    ({"timestamp": "2027-01-01T00:00:00Z"}, "timestamp_out_of_range", "timestamp"),
]


@pytest.mark.parametrize(("changes", "code", "field"), REFUSED)
def test_what_a_report_may_not_say(changes: dict[str, Any], code: str, field: str) -> None:
    problem = refusal(**changes)
    assert (problem.code, problem.field) == (code, field)


def test_the_schema_is_that_of_declarations_with_fields_after_it_that_have_defaults() -> None:
    """A reader of either schema can read what the other wrote: the registry asks for it."""
    plain, wide = (
        json.loads(
            resources.files("carbon_ledger").joinpath("schemas", f"{name}.avsc").read_text("utf-8")
        )
        for name in ("supplier", "supplier_production")
    )
    assert (wide["name"], wide["namespace"]) == (plain["name"], plain["namespace"])
    count = len(plain["fields"])
    assert wide["fields"][:count] == plain["fields"]
    assert all("default" in field for field in wide["fields"][count:])
    assert json.loads(widest_schema_file("supplier")) == wide
    names = {field["name"] for field in wide["fields"]}
    own = {field.name for field in fields_of(SupplierProductionEvent)} - {"problem"}
    assert own <= names
    assert own == set(SupplierProductionEvent.TYPE.checks)
    required = {one.name for one in avro_fields("supplier_production") if one.is_required}
    assert required <= own


def test_a_report_survives_the_wire_and_so_does_a_declaration_of_the_same_schema() -> None:
    event = report(fuels=(fuel(),), electricity_kwh="3.50")
    fields = event.to_avro_fields()
    assert list(fields) == [one.name for one in avro_fields("supplier_production")]
    assert event_of("supplier", fields, NOW) == event
    assert schema_name(event) == "supplier_production"
    assert type(event) in EVENT_CLASSES_OF_TOPIC["raw.supplier"]
    declared = declaration()
    wide = {**fields_with_defaults(), **declared.to_avro_fields()}
    assert event_of("supplier", wide, NOW) == declared


def fields_with_defaults() -> dict[str, Any]:
    known = avro_fields("supplier_production")
    return {one.name: one.default for one in known if not one.is_required}


def test_a_field_of_the_other_kind_is_refused_and_not_ignored() -> None:
    wide = {**fields_with_defaults(), **declaration().to_avro_fields()}
    for fields, name in (
        ({**wide, "produced_quantity": "900"}, "produced_quantity"),
        ({**report().to_avro_fields(), "kgco2e_per_unit": "1.8"}, "kgco2e_per_unit"),
        ({**report().to_avro_fields(), "preceding_ids": ["PCF-1"]}, "preceding_ids"),
    ):
        with pytest.raises(RejectedRecord) as caught:
            event_of("supplier", fields, NOW)
        assert (caught.value.code, caught.value.field) == ("field_of_another_kind", name)


def test_a_report_and_a_declaration_of_one_name_are_one_activity() -> None:
    assert report(revision=1).activity_ref == declaration(declaration_id="SITE-1").activity_ref


def test_named_values_are_the_event_their_kind_says() -> None:
    assert type(supplier_event(GIVEN, NOW)) is SupplierProductionEvent
    fields = {**declaration().to_avro_fields(), "timestamp": "2024-05-01T00:00:00Z"}
    moments = {"reference_from": None, "reference_to": None}
    assert type(supplier_event({**fields, **moments}, NOW)) is SupplierDeclarationEvent
    assert EVENT_KINDS["supplier"].class_of({"kind": 7}) is SupplierDeclarationEvent
    (line,) = calculate({"event": "supplier", **GIVEN}, INVENTORY)
    assert (line,) == lines_of_supplier(report(), INVENTORY)


def test_a_report_makes_the_fact_of_a_claim_as_an_allocated_figure_does() -> None:
    lines = lines_of_production(report(), INVENTORY)
    fact = fact_of_declaration(report().as_declaration(), lines, [], NOW, INVENTORY)
    assert (fact.rank, fact.kind, fact.status) == (4, "specific", "active")
    assert (fact.covered.value, fact.covered.unit) == (120, "t")
    assert (fact.fact_id, fact.claim.text) == (
        report().activity_ref,
        fact_of_declaration(
            declaration(purchase_order_lines=("inv-1/1",)),
            lines,
            [],
            NOW,
            INVENTORY,
        ).claim.text,
    )


def test_a_report_and_its_declaration_say_the_same_but_for_the_key() -> None:
    assert {one.name for one in fields_of(SupplierProductionEvent)} - set(SHARED) == {
        *("kind", "quantity", "unit", "problem"),
        *("production_site_id", "produced_quantity", "electricity_kwh", "fuels"),
        "allocated_kgco2e",
    }
    made = report(assurance="limited", coverage_share="0.5", is_capital=True, revision=3)
    declared = made.as_declaration()
    assert {name: getattr(declared, name) for name in SHARED} == {
        name: getattr(made, name) for name in SHARED
    }
    key = (declared.allocation_part, declared.allocation_whole, declared.allocation_unit)
    assert (declared.kind, *key) == (
        *("corporate_total", made.quantity, made.produced_quantity, made.unit),
    )
    assert (declared.quantity, declared.unit) == (None, None)


def test_what_a_report_covers_is_compared_with_what_was_bought_in_its_unit() -> None:
    declared = report().as_declaration()
    lines = lines_of_production(report(), INVENTORY)
    bought = [purchase(quantity="240000", unit="kg")]
    found = check_against_purchases(declared, lines, bought, INVENTORY)
    assert found.coverage.share == Decimal("0.5")
