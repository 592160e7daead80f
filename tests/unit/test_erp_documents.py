"""Purchase orders of SAP and Oracle, line by line, as events; what cannot be one is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from api.bodies import read_json
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from pipeline.sources.erp_documents import (
    ErpSystem,
    lines_of_body,
    read_time,
    rounded_money,
    shape_named,
)
from tests.support.erp_documents import oracle_order, sap_item, sap_order

NOW = datetime(2026, 1, 15, tzinfo=UTC)
SAP = ErpSystem(
    system="sap-prod",
    shape=shape_named("sap_s4hana"),
    document_prefix="sap-prod:",
    entities={"1010": "acme-de"},
)
ORACLE = ErpSystem(
    system="fusion",
    shape=shape_named("oracle_fusion"),
    document_prefix="fusion:",
    suppliers={"1253": "SUP_LEE"},
)


def read(document: Any, system: ErpSystem = SAP) -> Any:
    return lines_of_body(read_json(json.dumps(document).encode()), system, NOW)


def only_event(document: Any, system: ErpSystem = SAP) -> PurchaseOrderEvent:
    (line,) = read(document, system)
    assert line.problem is None, line.problem
    event: PurchaseOrderEvent = line.event
    return event


def only_problem(document: Any, system: ErpSystem = SAP) -> RejectedRecord:
    (line,) = read(document, system)
    problem: RejectedRecord = line.problem
    return problem


def test_a_line_of_sap_is_an_event() -> None:
    event = only_event(sap_order())
    assert event.event_id == "purchase:sap-prod:4500000001/10#0"
    assert event.order_ref == "acme-de:4500000001/10"
    assert (event.amount_net, event.currency) == (Decimal("8766.63"), "EUR")
    assert (event.quantity, event.unit) == (Decimal("12.5"), "t")
    assert event.supplier_id == "17300001"
    assert event.classification == "sap_material_group:L001"
    assert event.timestamp == datetime(2024, 5, 1, tzinfo=UTC)
    assert not event.is_cancelled


def test_a_line_of_oracle_is_an_event() -> None:
    event = only_event(oracle_order(), ORACLE)
    assert event.event_id == "purchase:fusion:1001509/1#0"
    assert event.entity_id == "300100000000123"
    assert event.supplier_id == "SUP_LEE"
    assert (event.amount_net, event.currency) == (Decimal("5999.97"), "USD")
    assert (event.quantity, event.unit) == (Decimal(3), "piece")
    assert event.timestamp == datetime(2024, 5, 8, 9, 14, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrapped",
    [
        sap_order(),
        {"d": sap_order()},
        {"d": {"results": [sap_order()]}},
        {"value": [sap_order()]},
        [sap_order()],
        {**{k: v for k, v in sap_order().items() if k != "to_PurchaseOrderItem"}}
        | {"_PurchaseOrderItem": sap_order()["to_PurchaseOrderItem"]["results"]},
    ],
)
def test_a_document_is_found_in_each_of_its_envelopes(wrapped: Any) -> None:
    assert only_event(wrapped) == only_event(sap_order())


def test_equal_bodies_give_equal_events() -> None:
    assert read(sap_order(items=3)) == read(sap_order(items=3))
    assert [line.place for line in read(sap_order(items=3))] == [
        f"4500000001/{number}" for number in (10, 20, 30)
    ]


@pytest.mark.parametrize(
    ("changes", "amount"),
    [
        # A price per 100 pieces, and one per kg of an order in pieces of 2.5 kg.
        ({"NetPriceAmount": "250", "NetPriceQuantity": "100", "OrderQuantity": "30"}, "75.00"),
        (
            {
                "NetPriceAmount": "4",
                "OrderQuantity": "10",
                "OrderPriceUnitToOrderUnitNmrtr": "5",
                "OrdPriceUnitToOrderUnitDnmntr": "2",
            },
            "100.00",
        ),
        ({"NetPriceAmount": 0.1, "OrderQuantity": 3}, "0.30"),
        (
            {"NetPriceAmount": "1", "NetPriceQuantity": "3", "OrderQuantity": "1"},
            "0.33",
        ),
        (
            {"NetPriceAmount": "100.5", "OrderQuantity": "1", "DocumentCurrency": "JPY"},
            "101",
        ),
        (
            {"NetPriceAmount": "0.0015", "OrderQuantity": "1", "DocumentCurrency": "KWD"},
            "0.002",
        ),
        ({"NetAmount": "123456789.99"}, "123456789.99"),
        ({"NetAmount": 8766.625}, "8766.625"),
    ],
)
def test_an_amount_is_exact_and_has_the_decimals_of_its_currency(
    changes: dict[str, Any], amount: str
) -> None:
    assert only_event(sap_item(**changes)).amount_net == Decimal(amount)


@pytest.mark.parametrize(
    ("currency", "rounded"), [("EUR", "2.35"), ("JPY", "2"), ("BHD", "2.345"), ("CLF", "2.3450")]
)
def test_money_is_rounded_half_up_as_erp_systems_do(currency: str, rounded: str) -> None:
    assert str(rounded_money(Fraction("2.345"), currency)) == rounded
    assert str(rounded_money(Fraction("-2.345"), currency)) == f"-{rounded}"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("/Date(1714521600000)/", datetime(2024, 5, 1, tzinfo=UTC)),
        ("/Date(1714521600123+0200)/", datetime(2024, 5, 1, 0, 0, 0, 123000, tzinfo=UTC)),
        ("/Date(-1)/", datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T02:00:00+02:00", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T00:00:00Z", datetime(2024, 5, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_both_write_them(text: str, moment: datetime) -> None:
    assert read_time("date", text) == moment


@pytest.mark.parametrize(
    "value", ["/Date(x)/", "/Date(999999999999999)/", "yesterday", 1714521600000, None, "12:00"]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(RejectedRecord) as caught:
        read_time("date", value)
    assert caught.value.code == "not_a_timestamp"


@pytest.mark.parametrize(
    "document",
    [
        sap_item(PurchasingDocumentDeletionCode="L"),
        sap_order(PurchasingDocumentDeletionCode="X"),
    ],
)
def test_a_deleted_line_comes_once_more_and_is_cancelled(document: Any) -> None:
    document["PurchaseOrderVersion"] = "3"
    event = only_event(document)
    assert event.event_id == "purchase:sap-prod:4500000001/10#3"
    assert event.is_cancelled
    assert (event.amount_net, event.quantity) == (0, None)


def test_a_blocked_line_is_not_a_deleted_one() -> None:
    assert not only_event(sap_item(PurchasingDocumentDeletionCode="S")).is_cancelled


def test_a_cancelled_order_of_oracle_is_cancelled() -> None:
    assert only_event(oracle_order(StatusCode="CANCELED", Revision=2), ORACLE).is_cancelled


@pytest.mark.parametrize(
    ("document", "code", "field"),
    [
        (sap_item(OrderQuantity="many"), "not_a_number", "OrderQuantity"),
        (sap_item(OrderQuantity="-1"), "negative_amount", "amount_net"),
        (sap_item(PurchaseOrderQuantityUnit="BOX"), "unknown_unit", "unit"),
        (sap_item(PurchaseOrderQuantityUnit=""), "missing_field", "PurchaseOrderQuantityUnit"),
        (sap_item(NetPriceQuantity="0"), "division_by_zero", None),
        (sap_item(NetPriceAmount=None), "missing_field", "NetPriceAmount"),
        (sap_item(DocumentCurrency="euro"), "unknown_currency", "currency"),
        (sap_item(PurchaseOrderItem="ten"), "line_out_of_range", "PurchaseOrderItem"),
        (sap_item(Material="a b"), "invalid_identifier", "item_id"),
        (sap_order(CompanyCode="9999"), "unknown_company", "CompanyCode"),
        (sap_order(Supplier=""), "missing_field", "Supplier"),
        (sap_order(Supplier={"a": 1}), "wrong_type", "Supplier"),
        (sap_order(PurchaseOrderVersion=None), "revision_missing", "PurchaseOrderVersion"),
        (sap_order(PurchaseOrderVersion="-1"), "revision_out_of_range", "PurchaseOrderVersion"),
        (sap_order(PurchaseOrderVersion="1000"), "revision_out_of_range", "revision"),
        (sap_order(PurchaseOrderDate="soon"), "not_a_timestamp", "PurchaseOrderDate"),
        (sap_order(items=0), "no_lines", None),
    ],
)
def test_what_is_wrong_with_a_line_is_named(document: Any, code: str, field: str | None) -> None:
    problem = only_problem(document)
    assert problem.code == code
    assert field is None or problem.field == field


def test_a_wrong_line_leaves_the_others() -> None:
    order = sap_order(items=3)
    order["to_PurchaseOrderItem"]["results"][1]["OrderQuantity"] = "?"
    found = read(order)
    assert [line.event is not None for line in found] == [True, False, True]


@pytest.mark.parametrize("body", [{}, [], {"d": {}}, {"value": []}, "text", 1, None, [1], [{}]])
def test_a_body_without_a_document_is_refused(body: Any) -> None:
    with pytest.raises(RejectedRecord) as caught:
        read(body)
    assert caught.value.code == "no_document"


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(RejectedRecord) as caught:
        read(sap_order(items=5_001))
    assert caught.value.code == "too_many_lines"


def test_a_kind_of_system_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        shape_named("../sap")
    assert caught.value.code == "erp_kind_unknown"
