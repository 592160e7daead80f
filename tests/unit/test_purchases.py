"""Purchases: what books, in which money, by which factor; and what is evidence of 0 kg."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import Policy
from carbon_ledger.purchasing.purchase_booking import booking_kind
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchases import lines_of_purchase
from carbon_ledger.purchasing.spend import sector_match, spend_scores
from carbon_ledger.purchasing.spend_coverage import coverage_of_spend
from carbon_ledger.reference.records import Entity, Site, SpendClass, Supplier
from carbon_ledger.workings import Operand, posted_fraction
from factor_seeds.load import release
from tests.support.purchase_examples import (
    NOW,
    RATES,
    index,
    inventory_of,
    material_factor,
    purchase,
    spend_factor,
)

STEEL = spend_factor("331110", "0.8")
BOOK = (STEEL, spend_factor("541611", "0.1"), spend_factor("484121", "0.6"))


@pytest.fixture(scope="module")
def shipped() -> FactorBook:
    return FactorBook.of(release())


def one_line(event: PurchaseOrderEvent, inventory: Inventory, **known: Any) -> Any:
    (line,) = lines_of_purchase(event, inventory, **known)
    return line


# ---- published examples


def test_P03_materials_by_quantity_and_services_by_spend_make_54100_kg() -> None:
    """Technical Guidance (2013), example 1.4: six masses and nine sums in dollars."""
    masses = [(400, 20), (200, 10), (500, 40), (100, 70), (1500, 3), (300, 3)]
    sums = [
        (5000, "0.3"),
        (3000, "0.3"),
        (4000, "0.3"),
        (6000, "0.5"),
        (1500, "0.2"),
        (5000, "0.2"),
        (5000, "0.3"),
        (1000, "0.3"),
        (5000, "0.4"),
    ]
    inventory = inventory_of(
        [
            *(material_factor(f"material {n}", str(ef)) for n, (_, ef) in enumerate(masses)),
            *(spend_factor(f"54{n}", ef) for n, (_, ef) in enumerate(sums)),
        ]
    )
    when = datetime(2022, 3, 1, tzinfo=UTC)
    bought = [
        purchase(line_no=n, material_item=f"material {n}", quantity=kg, unit="kg", timestamp=when)
        for n, (kg, _) in enumerate(masses)
    ]
    paid = [
        purchase(
            line_no=100 + n,
            classification=f"naics:54{n}",
            amount_net=usd,
            currency="USD",
            timestamp=when,
        )
        for n, (usd, _) in enumerate(sums)
    ]
    lines = [one_line(event, inventory) for event in (*bought, *paid)]
    assert [line.method for line in lines] == ["average-data"] * 6 + ["spend-based"] * 9
    assert sum(line.kgco2e for line in lines) == Decimal(54100)


def test_P54_two_services_in_pounds_with_a_pound_factor_make_2573_kg() -> None:
    """NHS Recipe Book 22/23, equation P.3 (printed 2.57 t): no rate where the money is the same."""
    pounds: dict[str, Any] = {
        "country_iso2": "GB",
        "currency": "GBP",
        "price_year": 2023,
        "vintage": 2023,
    }
    inventory = inventory_of(
        [spend_factor("561720", "0.145", **pounds), spend_factor("541511", "0.104", **pounds)],
        rows=(),
    )
    lines = [
        one_line(
            purchase(
                line_no=number,
                classification=f"naics:{code}",
                amount_net=amount,
                currency="GBP",
                timestamp=datetime(2023, 2, 1, tzinfo=UTC),
            ),
            inventory,
        )
        for number, (code, amount) in enumerate([("561720", "3400"), ("541511", "20000")])
    ]
    assert sum(line.kgco2e for line in lines) == Decimal(2573)
    assert all(len(line.working.terms[0].operands) == 2 for line in lines)


# ---- money


def test_spend_goes_through_the_rate_of_its_year_and_the_prices_of_the_factor() -> None:
    line = one_line(purchase(), inventory_of(BOOK))
    expected = Fraction(1000) * Fraction("1.1") * Fraction(292, 313) * Fraction("0.8")
    assert line.kgco2e == posted_fraction(expected)
    assert [operand.label for operand in line.working.terms[0].operands] == [
        "net amount",
        "mean exchange rate of the year",
        "price index of the factor's year over that of the spend's",
        "emission factor",
    ]
    assert (line.assignment.scope, line.assignment.category) == (3, 1)
    assert (line.basis, line.rank, line.primary_share) == ("eeio_purchaser", 1, 0)
    assert line.factor_scores.as_tuple() == (4, 2, 1, 2, 4)
    assert "vintage_gap" in line.flags


def test_the_rate_is_that_of_the_activity_and_not_of_today() -> None:
    of_2023 = one_line(purchase(timestamp="2023-06-01T00:00:00Z"), inventory_of(BOOK))
    expected = Fraction(1000) * Fraction("1.08") * Fraction(292, 304) * Fraction("0.8")
    assert of_2023.kgco2e == posted_fraction(expected)


def test_the_calendar_of_the_site_decides_the_year() -> None:
    site = Site(
        facility_id="plant-nz",
        organization_id="acme",
        country_iso2="NZ",
        time_zone="Pacific/Auckland",
    )
    event = purchase(facility_id="plant-nz", timestamp="2023-12-31T20:00:00Z")
    line = one_line(event, inventory_of(BOOK, site))
    assert "EUR of 2024" in line.working.terms[0].operands[0].unit
    utc = one_line(purchase(timestamp="2023-12-31T20:00:00Z"), inventory_of(BOOK))
    assert "EUR of 2023" in utc.working.terms[0].operands[0].unit


def test_a_period_across_new_year_is_cut_pro_rata_of_time() -> None:
    event = purchase(timestamp="2023-12-22T00:00:00Z", interval_seconds=30 * 86400)
    early, late = lines_of_purchase(event, inventory_of(BOOK))
    assert early.occurred_to == late.occurred_from == datetime(2024, 1, 1, tzinfo=UTC)
    of_2023 = Fraction(1000) * Fraction("1.08") * Fraction(292, 304) * Fraction("0.8")
    of_2024 = Fraction(1000) * Fraction("1.1") * Fraction(292, 313) * Fraction("0.8")
    assert early.kgco2e == posted_fraction(of_2023 * Fraction(10, 30))
    assert late.kgco2e == posted_fraction(of_2024 * Fraction(20, 30))


def test_a_missing_index_year_takes_the_latest_and_says_so() -> None:
    event = purchase(timestamp="2025-06-01T00:00:00Z")
    line = one_line(event, inventory_of(BOOK))
    assert "index_gap_years" in line.flags
    expected = Fraction(1000) * Fraction("1.1") * Fraction(292, 313) * Fraction("0.8")
    assert line.kgco2e == posted_fraction(expected)


def test_a_sectors_own_price_index_comes_first() -> None:
    own = [
        index("price_index:331110", "US", 2022, "200"),
        index("price_index:331110", "US", 2024, "150"),
    ]
    line = one_line(purchase(), inventory_of(BOOK, rows=(*RATES, *own)))
    expected = Fraction(1000) * Fraction("1.1") * Fraction(200, 150) * Fraction("0.8")
    assert line.kgco2e == posted_fraction(expected)


def test_basic_prices_need_the_margin() -> None:
    basic = spend_factor("331110", "0.8", price_basis="basic", price_year=2024, vintage=2024)
    event = purchase(currency="USD", margin_share="0.2")
    line = one_line(event, inventory_of([basic]))
    assert line.kgco2e == Decimal(640)
    assert line.basis == "eeio_basic"
    stated_basic = purchase(currency="USD", price_basis="basic")
    assert one_line(stated_basic, inventory_of([basic])).kgco2e == Decimal(800)
    purchaser = spend_factor("331110", "0.8", price_year=2024, vintage=2024)
    grossed = purchase(currency="USD", price_basis="basic", margin_share="0.2")
    assert one_line(grossed, inventory_of([purchaser])).kgco2e == Decimal(1000)


@pytest.mark.parametrize(
    ("price_year", "year", "score"),
    [
        *((2022, 2022, 2), (2022, 2027, 2), (2022, 2028, 3), (2022, 2031, 3), (2022, 2032, 4)),
        *((2022, 2017, 2), (2022, 2016, 3), (2022, 2012, 4), (None, 2040, 2)),
    ],
)
def test_the_further_the_prices_of_a_sector_factor_the_worse_its_time_score(
    price_year: int | None, year: int, score: int
) -> None:
    found = sector_match("331110", date(2022, 1, 1), "US", inventory_of(BOOK))
    match = replace(found, factor=replace(found.factor, price_year=price_year))
    for country, geography in (("US", 1), ("DE", 3), (None, 3)):
        scores = spend_scores(match, country, year)
        assert scores.as_tuple() == (4, score, geography, 2, 4)


# ---- what is refused


@pytest.mark.parametrize(
    ("code", "changes", "factor", "policy"),
    [
        ("factor_currency_missing", {}, {"currency": "", "unit": "kg"}, {}),
        ("factor_price_year_missing", {}, {"price_year": None}, {}),
        ("factor_price_basis_missing", {}, {"price_basis": ""}, {}),
        ("margin_statement_missing", {}, {"price_basis": "basic"}, {}),
        (
            "margin_statement_missing",
            {"margin_share": "1", "price_basis": "basic"},
            {},
            {},
        ),
        ("factor_country_missing", {}, {"country_iso2": None}, {}),
        ("unknown_currency", {"currency": "XXA"}, {}, {}),
        ("index_missing", {"timestamp": "2025-06-01T00:00:00Z"}, {}, {"max_index_gap_years": 0}),
        ("factor_missing", {"classification": "naics:999999"}, {}, {}),
        ("factor_vintage_gap", {}, {}, {"max_vintage_gap_years": 1}),
        ("unmapped_spend", {"classification": None}, {}, {"unmapped_spend": "reject"}),
        (
            "unmapped_spend",
            {"classification": "unspsc:44103105"},
            {},
            {"unmapped_spend": "reject"},
        ),
        ("not_a_naics_code", {"classification": "naics:steel"}, {}, {}),
        ("not_a_naics_code", {"classification": "naics:3311100"}, {}, {}),
        ("residual_factor_missing", {"classification": None}, {}, {"spend_factor_version": "9"}),
    ],
)
def test_what_cannot_be_priced_is_refused(
    code: str, changes: dict[str, Any], factor: dict[str, Any], policy: dict[str, Any]
) -> None:
    inventory = inventory_of([spend_factor("331110", "0.8", **factor)], **policy)
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_purchase(purchase(**changes), inventory)
    assert refusal.value.code == code
    assert refusal.value.valid


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("negative_amount", {"amount_net": "-1"}),
        ("credit_note_not_negative", {"document_kind": "credit_note"}),
        (
            "credit_note_not_negative",
            {"document_kind": "credit_note", "amount_net": "-1", "quantity": "1", "unit": "kg"},
        ),
        ("unknown_document_kind", {"document_kind": "delivery"}),
        ("unknown_line_kind", {"line_kind": "goods"}),
        ("unknown_price_basis", {"price_basis": "factory"}),
        ("unknown_currency", {"currency": "eur"}),
        ("invalid_classification", {"classification": "44103105"}),
        ("invalid_classification", {"account": "gl:"}),
        ("quantity_without_unit", {"quantity": "1"}),
        ("quantity_without_unit", {"unit": "kg"}),
        ("unknown_unit", {"quantity": "1", "unit": "pallet"}),
        ("material_without_quantity", {"material_item": "Steel"}),
        ("amount_not_reconciled", {"amount_gross": "1190", "vat_amount": "180"}),
        ("not_finite", {"amount_net": "NaN"}),
        ("not_a_number", {"amount_net": "1,000"}),
        ("timestamp_out_of_range", {"timestamp": NOW + timedelta(days=2)}),
        ("invalid_identifier", {"document_id": "inv 1"}),
    ],
)
def test_a_document_line_that_contradicts_itself_is_refused(
    code: str, changes: dict[str, Any]
) -> None:
    event = purchase(**changes)
    with pytest.raises(RejectedRecord) as refusal:
        event.check(NOW)
    assert refusal.value.code == code


def test_a_bill_of_net_tax_and_freight_that_adds_up_books_the_net_amount() -> None:
    event = purchase(amount_gross="1240", vat_amount="190", freight_amount="50", currency="USD")
    inventory = inventory_of(
        [spend_factor("331110", "0.8", price_year=2024, vintage=2024)], rows=()
    )
    assert one_line(event, inventory).kgco2e == Decimal(800)


# ---- which document books


@pytest.mark.parametrize(
    ("flag", "category", "changes"),
    [
        ("commitment", 1, {"document_kind": "purchase_order"}),
        ("commitment", 2, {"document_kind": "purchase_order", "is_capital": True}),
        ("intra_group_eliminated", 1, {"is_intra_group": True}),
        ("tax_line", 1, {"line_kind": "tax"}),
        ("cancelled", 1, {"is_cancelled": True}),
        ("cancelled", 1, {"is_cancelled": True, "document_kind": "purchase_order"}),
        ("routed_to_freight", 4, {"line_kind": "freight"}),
        ("routed_to_freight", 4, {"classification": "naics:484121"}),
        ("routed_to_energy", None, {"classification": "naics:221122"}),
        ("routed_to_energy", None, {"classification": "naics:221210"}),
        ("routed_to_fuel", None, {"classification": "naics:324110"}),
        ("routed_to_travel", 6, {"classification": "naics:481111"}),
        ("routed_to_travel", 6, {"classification": "naics:721110"}),
        ("routed_to_waste", 5, {"classification": "naics:562111"}),
        ("routed_to_fuel", None, {"account": "gl:627100"}),
    ],
)
def test_evidence_is_a_line_of_0_kg_that_says_why(
    flag: str, category: int | None, changes: dict[str, Any]
) -> None:
    fuel_account = SpendClass(system="gl", code="627100", route="fuel")
    line = one_line(purchase(**changes), inventory_of(BOOK, fuel_account))
    assert (line.kgco2e, line.flags, line.rank) == (0, (flag,), 0)
    assert line.assignment.category == category
    assert line.quantity == Decimal(1000)


def test_the_kind_dated_first_books_an_order_line_whatever_arrives_first() -> None:
    receipt = purchase(document_id="gr-1", document_kind="goods_receipt")
    invoice = purchase(timestamp="2024-05-20T00:00:00Z")
    later = purchase(document_id="gr-2", document_kind="goods_receipt", timestamp="2024-06-01")
    inventory = inventory_of(BOOK)
    documents = (receipt, invoice, later)
    booked = [
        one_line(one, inventory, siblings=[other for other in documents if other is not one])
        for one in documents
    ]
    assert [line.method for line in booked] == ["spend-based", "evidence", "spend-based"]
    assert booked[1].flags == ("booked_by_other_document",)
    assert booking_kind(documents, inventory) == booking_kind(documents[::-1], inventory)


@pytest.mark.parametrize("kind", ["goods_receipt", "invoice"])
def test_the_policy_can_name_the_booking_document(kind: str) -> None:
    inventory = inventory_of(BOOK, booking_document=kind)
    for document_kind in ("goods_receipt", "invoice"):
        line = one_line(purchase(document_kind=document_kind), inventory)
        assert (line.method == "spend-based") == (document_kind == kind)


def test_a_later_revision_of_a_document_takes_the_place_of_the_earlier() -> None:
    wrong = purchase(document_id="gr-1", document_kind="goods_receipt", timestamp="2024-04-01")
    right = purchase(
        document_id="gr-1", document_kind="goods_receipt", timestamp="2024-06-01", revision=1
    )
    inventory = inventory_of(BOOK)
    assert booking_kind((purchase(), wrong), inventory) == "goods_receipt"
    assert booking_kind((purchase(), wrong, right), inventory) == "invoice"


def test_documents_of_two_order_lines_are_no_siblings() -> None:
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_purchase(purchase(), inventory_of(BOOK), siblings=[purchase(line_no=2)])
    assert refusal.value.code == "another_order_line"


def test_a_subsidiary_is_eliminated_and_an_associate_stays() -> None:
    seller = Supplier(supplier_id="steelworks", country_iso2="US", entity_id="acme-us")
    for kind, is_eliminated in (("subsidiary", True), ("associate", False)):
        entity = Entity(entity_id="acme-us", organization_id="acme", kind=kind)
        line = one_line(purchase(), inventory_of(BOOK, seller, entity))
        assert ("intra_group_eliminated" in line.flags) == is_eliminated


def test_capital_goods_are_category_2_whole_in_the_year() -> None:
    line = one_line(purchase(is_capital=True), inventory_of(BOOK))
    assert line.assignment.category == 2
    assert line.kgco2e == one_line(purchase(), inventory_of(BOOK)).kgco2e


# ---- other streams


def test_what_no_shipment_accounts_for_is_booked_by_spend() -> None:
    left = Operand(value=Fraction(1, 4), unit="of the figure", label="share not counted elsewhere")
    event = purchase(classification="naics:484121")
    evidence, rest = lines_of_purchase(event, inventory_of(BOOK), remainder=left)
    assert evidence.kgco2e == 0
    whole = Fraction(1000) * Fraction("1.1") * Fraction(292, 313) * Fraction("0.6")
    assert rest.kgco2e == posted_fraction(whole / 4)
    assert rest.assignment.category == 4


def test_a_company_without_the_stream_books_all_of_it_by_spend() -> None:
    inventory = inventory_of(BOOK, spend_without_stream=("freight",))
    line = one_line(purchase(classification="naics:484121"), inventory)
    assert (line.method, line.assignment.category) == ("spend-based", 4)


@pytest.mark.parametrize("code", ["324110", "221122"])
def test_spend_never_stands_for_what_the_buyer_burns(code: str) -> None:
    left = Operand(value=Fraction(1, 4), unit="of the figure", label="share not counted elsewhere")
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_purchase(
            purchase(classification=f"naics:{code}"), inventory_of(BOOK), remainder=left
        )
    assert refusal.value.code == "spend_not_combustion"


def test_the_mean_of_all_sectors_is_as_old_as_they_are_and_may_be_too_old() -> None:
    event = purchase(classification=None)
    line = one_line(event, inventory_of(BOOK, max_vintage_gap_years=2))
    assert line.factor is not None
    assert line.factor.how_matched == "any/average/earlier-vintage"
    assert (line.factor.vintage_gap_years, "vintage_gap" in line.flags) == (-2, True)
    with pytest.raises(RejectedRecord) as refused:
        lines_of_purchase(event, inventory_of(BOOK, max_vintage_gap_years=1))
    assert (refused.value.code, refused.value.field) == ("factor_vintage_gap", "timestamp")
    same_year = inventory_of([spend_factor("331110", "0.8", vintage=2024, price_year=2024)])
    assert "vintage_gap" not in one_line(event, same_year).flags


# ---- sectors


def test_a_mapping_is_dated() -> None:
    before = SpendClass(system="unspsc", code="44103105", naics_code="541611")
    after = SpendClass(
        system="unspsc", code="44103105", naics_code="331110", valid_from=date(2024, 1, 1)
    )
    event = {"classification": "unspsc:44103105"}
    inventory = inventory_of(BOOK, before, after)
    assert one_line(purchase(**event), inventory).activity_type == "spend/331110"
    early = purchase(timestamp="2023-06-01", **event)
    assert one_line(early, inventory).activity_type == "spend/541611"


def test_the_account_decides_where_the_classification_says_nothing() -> None:
    account = SpendClass(system="gl", code="650000", naics_code="541611")
    event = purchase(classification="unspsc:99", account="gl:650000")
    assert one_line(event, inventory_of(BOOK, account)).activity_type == "spend/541611"


def test_refused_unmapped_spend_names_the_code_that_would_need_a_mapping() -> None:
    inventory = inventory_of(BOOK, unmapped_spend="reject")
    for classification, named in (("unspsc:99", "unspsc:99"), (None, "gl:650000")):
        with pytest.raises(RejectedRecord) as refusal:
            lines_of_purchase(
                purchase(classification=classification, account="gl:650000"), inventory
            )
        assert (refusal.value.code, refusal.value.value) == ("unmapped_spend", named)


def test_unmapped_spend_is_a_row_of_its_own_at_the_mean_of_sectors_booked_by_spend() -> None:
    line = one_line(purchase(classification=None), inventory_of(BOOK))
    assert {"unmapped_spend", "residual_average"} <= set(line.flags)
    assert line.activity_type == "spend/unmapped"
    assert line.assignment.rule == "PURCHASE-GOODS-UNMAPPED"
    # 484121 is freight, so the mean is of 0.8 and 0.1.
    assert line.factor.factor.kgco2e_per_unit == Decimal("0.45")
    assert line.factor.boundary_substitute is False
    expected = Fraction(1000) * Fraction("1.1") * Fraction(292, 313) * Fraction("0.45")
    assert line.kgco2e == posted_fraction(expected)


def test_the_mean_of_the_shipped_edition_names_its_sectors(shipped: FactorBook) -> None:
    inventory = Inventory(book=shipped, now=NOW)
    line = one_line(purchase(classification=None), inventory)
    assert line.factor.factor.factor_id == "spend:US:average:1.3"
    assert "sectors of release" in line.factor.factor.note
    assert 0 < line.kgco2e < 1000


# ---- quantity before spend


def test_quantity_beats_spend_where_a_physical_factor_exists() -> None:
    inventory = inventory_of([*BOOK, material_factor("Steel", "2.5")])
    event = purchase(material_item="Steel", quantity="2", unit="t")
    line = one_line(event, inventory)
    assert (line.kgco2e, line.method, line.rank) == (Decimal(5000), "average-data", 2)
    assert "geography_proxy" in line.flags


@pytest.mark.parametrize(
    ("flag", "changes"),
    [
        ("physical_factor_missing", {"material_item": "Unobtainium", "unit": "kg"}),
        ("quantity_not_convertible", {"material_item": "Steel", "unit": "piece"}),
    ],
)
def test_spend_stands_in_for_a_quantity_that_has_no_factor(
    flag: str, changes: dict[str, Any]
) -> None:
    inventory = inventory_of([*BOOK, material_factor("Steel", "2.5")])
    line = one_line(purchase(quantity="2", **changes), inventory)
    assert line.method == "spend-based"
    assert flag in line.flags


def test_a_material_of_several_treatments_is_refused_until_one_is_named() -> None:
    reused = material_factor(
        "Steel",
        "0.1",
        selectors=(("item", "Steel"), ("treatment", "Re-used")),
        factor_id="material:Steel:reused",
    )
    inventory = inventory_of([*BOOK, material_factor("Steel", "2.5"), reused])
    event = {"material_item": "Steel", "quantity": "1", "unit": "kg"}
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_purchase(purchase(**event), inventory)
    assert refusal.value.code == "factor_ambiguous"
    named = purchase(material_treatment="Re-used", **event)
    assert one_line(named, inventory).kgco2e == Decimal("0.1")


# ---- credit notes


def credit(**changes: Any) -> PurchaseOrderEvent:
    given = {
        "document_id": "cn-1",
        "document_kind": "credit_note",
        "amount_net": "-250",
        "timestamp": datetime(2025, 2, 1, tzinfo=UTC),
        "corrects": "inv-1/1",
        **changes,
    }
    return purchase(**given)


def test_a_credit_note_takes_back_with_the_factor_and_rates_of_its_invoice() -> None:
    inventory = inventory_of(BOOK)
    original = one_line(purchase(), inventory)
    newer = spend_factor("331110", "0.4", vintage=2025, price_year=2025)
    line = one_line(credit(), inventory_of([newer]), credited=original)
    assert line.kgco2e == posted_fraction(-original.working.exact() / 4)
    assert line.factor == original.factor
    assert "credit_note" in line.flags
    assert line.occurred_from == datetime(2025, 2, 1, tzinfo=UTC)


def test_a_whole_credit_cancels_its_invoice_to_the_last_digit_and_gas() -> None:
    factor = spend_factor(
        "331110",
        "0.8",
        kg_co2_per_unit=Decimal("0.7"),
        kg_ch4_per_unit=Decimal("0.002"),
        kg_n2o_per_unit=Decimal("0.0001"),
    )
    inventory = inventory_of([factor])
    original = one_line(purchase(), inventory)
    line = one_line(credit(amount_net="-1000"), inventory, credited=original)
    assert line.kgco2e + original.kgco2e == 0
    assert len(line.gases) == 3
    for gas, kg in line.gases:
        assert kg + (original.gases.get(gas) or 0) == 0


def test_a_credit_note_without_its_line_is_priced_as_on_the_day_it_names() -> None:
    named = credit(corrects_timestamp=datetime(2024, 5, 6, tzinfo=UTC))
    line = one_line(named, inventory_of(BOOK))
    assert line.kgco2e == posted_fraction(
        Fraction(-250) * Fraction("1.1") * Fraction(292, 313) * Fraction("0.8")
    )
    assert "credit_note_unreferenced" not in line.flags
    assert "credit_note_unreferenced" in one_line(credit(), inventory_of(BOOK)).flags


@pytest.mark.parametrize(
    ("code", "material", "changes"),
    [
        ("credit_currency_mismatch", False, {"currency": "USD"}),
        ("credit_exceeds_original", False, {"amount_net": "-1000.01"}),
        ("credit_quantity_missing", True, {}),
        ("credit_exceeds_original", True, {"quantity": "-3", "unit": "t"}),
        ("incompatible_unit", True, {"quantity": "-3", "unit": "piece"}),
    ],
)
def test_a_credit_note_that_is_not_of_the_line_is_refused(
    code: str, material: bool, changes: dict[str, Any]
) -> None:
    inventory = inventory_of([*BOOK, material_factor("Steel", "2.5")])
    given = {"material_item": "Steel", "quantity": "2", "unit": "t"} if material else {}
    original = one_line(purchase(**given), inventory)
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_purchase(credit(**changes), inventory, credited=original)
    assert refusal.value.code == code


def test_a_returned_quantity_takes_back_by_the_same_factor() -> None:
    inventory = inventory_of([*BOOK, material_factor("Steel", "2.5")])
    original = one_line(purchase(material_item="Steel", quantity="2", unit="t"), inventory)
    line = one_line(credit(quantity="-500", unit="kg"), inventory, credited=original)
    assert line.kgco2e == Decimal(-1250)


# ---- coverage, events, laws


def test_coverage_of_spend_counts_what_became_of_each_euro() -> None:
    inventory = inventory_of([*BOOK, material_factor("Steel", "2.5")])
    events = [
        purchase(amount_net="600"),
        purchase(amount_net="300", material_item="Steel", quantity="1", unit="kg"),
        purchase(amount_net="100", classification=None),
        purchase(amount_net="50", line_kind="freight"),
        purchase(amount_net="70", is_intra_group=True),
        purchase(amount_net="1000", document_kind="purchase_order"),
        purchase(amount_net="190", line_kind="tax"),
        purchase(amount_net="110", currency="USD"),
    ]
    found = coverage_of_spend(
        [(event, lines_of_purchase(event, inventory)) for event in events], inventory
    )
    assert (found.mapped, found.average_data, found.unmapped) == (700, 300, 100)
    assert (found.routed, found.eliminated, found.currency) == (50, 70, "EUR")
    assert found.mapped_share == Fraction(10, 11)


def test_the_event_and_its_record_are_the_same() -> None:
    event = purchase(
        facility_id="plant-1",
        quantity="12.50",
        unit="tonne",
        order_line_no=7,
        amount_gross="1190",
        vat_amount="190",
        corrects_timestamp="2024-01-01T00:00:00+01:00",
    )
    fields = event.to_avro_fields()
    assert PurchaseOrderEvent.from_avro_fields(fields, NOW) == event
    assert (fields["quantity"], fields["unit"]) == ("12.5", "t")
    assert event.event_id == "purchase:inv-1/1#0"
    assert event.order_ref == "acme-de:po-1/7"
    schema = json.loads(
        resources.files("carbon_ledger").joinpath("schemas/procurement.avsc").read_text()
    )
    assert list(fields) == [field["name"] for field in schema["fields"]]
    older = {name: value for name, value in fields.items() if name != "account"}
    assert PurchaseOrderEvent.from_avro_fields(older, NOW) == event


@settings(max_examples=40, deadline=None)
@given(
    amounts=st.lists(st.decimals(min_value=0, max_value=10**9, places=2), min_size=1, max_size=6)
)
def test_spend_is_additive_but_for_one_rounding_each(amounts: list[Decimal]) -> None:
    inventory = _ADDITIVE
    parts = [one_line(purchase(amount_net=amount), inventory).working.exact() for amount in amounts]
    whole = one_line(purchase(amount_net=sum(amounts)), inventory).working.exact()
    assert sum(parts) == whole


_ADDITIVE = inventory_of(BOOK)


def test_each_factor_taken_away_refuses_its_purchases_and_no_other() -> None:
    """A missing factor is never replaced by another or by an average."""
    codes = ["331110", "541611", "541512", "325211"]
    factors = [spend_factor(code, "0.8") for code in codes]
    for missing in codes:
        rest = inventory_of(
            factor for factor in factors if dict(factor.selectors)["naics_code"] != missing
        )
        for code in codes:
            event = purchase(classification=f"naics:{code}")
            if code != missing:
                assert lines_of_purchase(event, rest)
                continue
            with pytest.raises(RejectedRecord) as refusal:
                lines_of_purchase(event, rest)
            assert refusal.value.code == "factor_missing"


def test_the_written_working_recomputes_the_figure(shipped: FactorBook) -> None:
    """From the text alone: multiply what has an x, divide by what has a /."""
    inventory = Inventory(book=shipped, now=NOW, policy=Policy(gwp_set="AR5"))
    event = purchase(classification="naics:331110", currency="GBP", amount_net="12345.67")
    line = one_line(event, inventory)
    *steps, last = line.working.written()[1:]
    product = Fraction(1)
    for step in steps:
        mark, _, rest = step.strip().partition(" ") if step.strip()[0] in "x/-" else ("", "", step)
        value = Fraction(rest.split()[0])
        product = product / value if mark == "/" else product * value
    assert posted_fraction(product) == line.kgco2e
    assert last.split()[1] == format(line.kgco2e.normalize(), "f")
    assert {"vintage_gap"} <= set(line.flags)


def test_a_credit_note_is_of_the_sector_its_invoice_was_of() -> None:
    """The mapping was changed in between; what was booked by steel is not taken back by advice."""
    mapped = {"system": "gl", "code": "627100"}
    records = (
        SpendClass(**mapped, naics_code="331110", valid_from=date(2024, 1, 1)),
        SpendClass(**mapped, naics_code="541611", valid_from=date(2024, 6, 1)),
    )
    inventory = inventory_of(BOOK, *records)
    invoice = one_line(purchase(classification="gl:627100"), inventory)
    named = credit(
        classification="gl:627100",
        amount_net="-1000",
        corrects_timestamp=datetime(2024, 5, 6, tzinfo=UTC),
    )
    assert one_line(named, inventory).kgco2e == -invoice.kgco2e


FREIGHT_CREDIT: dict[str, Any] = {"classification": "naics:484121", "amount_net": "-1000"}


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_a_credit_for_freight_booked_by_spend_has_its_invoices_rates(is_at_hand: bool) -> None:
    inventory = inventory_of(BOOK, spend_without_stream=("freight",))
    when = datetime(2023, 12, 30, tzinfo=UTC)
    invoice = one_line(purchase(classification="naics:484121", timestamp=when), inventory)
    credited = invoice if is_at_hand else None
    line = one_line(credit(**FREIGHT_CREDIT, corrects_timestamp=when), inventory, credited=credited)
    assert line.kgco2e == -invoice.kgco2e
    assert line.assignment.category == 4


def test_a_credit_for_freight_takes_back_the_share_that_was_booked() -> None:
    left = Operand(value=Decimal("0.25"), unit="of the figure", label="not covered by shipments")
    inventory = inventory_of(BOOK)
    evidence, booked = lines_of_purchase(
        purchase(classification="naics:484121"), inventory, remainder=left
    )
    back = lines_of_purchase(credit(**FREIGHT_CREDIT), inventory, credited=booked)
    assert [line.kgco2e for line in back] == [0, -booked.kgco2e]
    # What was evidence only is taken back as evidence only.
    nothing = lines_of_purchase(credit(**FREIGHT_CREDIT), inventory, credited=evidence)
    assert [line.kgco2e for line in nothing] == [0]


def test_freight_billed_apart_has_the_factor_of_the_freight_sector_it_names() -> None:
    inventory = inventory_of(BOOK, spend_without_stream=("freight",))
    apart = one_line(purchase(line_kind="freight", classification="naics:484121"), inventory)
    whole = one_line(purchase(classification="naics:484121"), inventory)
    assert apart.kgco2e == whole.kgco2e
    assert "unmapped_spend" not in apart.flags
    # Freight of steel is not steel.
    of_goods = one_line(purchase(line_kind="freight"), inventory)
    assert "unmapped_spend" in of_goods.flags
