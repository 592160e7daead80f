"""Rows of an ERP's tables become the event they mean; a mapping that cannot is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from pipeline.sources.cdc_envelope import UNAVAILABLE, Change, read_change
from pipeline.sources.cdc_mapping import (
    FOLDER,
    HEADER,
    LINE,
    ErpMapping,
    find_mapping,
    key_of,
    read_mapping,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "debezium"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def change(name: str) -> Change:
    content = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = read_change(json.dumps(content["key"]).encode(), json.dumps(content["value"]).encode())
    assert found is not None
    return found


def mapping(name: str) -> ErpMapping:
    return read_mapping(find_mapping(name))


def event_of(which: ErpMapping, header: Any, line: Any) -> PurchaseOrderEvent:
    images = (which.image(HEADER, header, None), which.image(LINE, line, None))
    return PurchaseOrderEvent.from_fields(which.fields(*images), NOW)


def test_sap_headers_and_items_are_purchase_order_lines() -> None:
    sap = mapping("sap_ekko_ekpo")
    header, line = change("sap_ekko_insert"), change("sap_ekpo_read")
    assert (sap.role_of(header.table), sap.role_of(line.table)) == (HEADER, LINE)
    assert key_of(sap.tables[LINE].key, line.row) == "100/4500012345/00010"
    assert event_of(sap, header.row, line.row) == PurchaseOrderEvent(
        purchase_order_id="4500012345",
        document_id="4500012345",
        document_kind="purchase_order",
        line_no=10,
        entity_id="1000",
        facility_id="1000",
        supplier_id="0000100042",
        item_id="000000000000004711",
        amount_net=Decimal("1234.5"),
        currency="EUR",
        quantity=Decimal("250.5"),
        unit="kg",
        timestamp=datetime(2024, 5, 6, tzinfo=UTC),
    )


def test_an_amount_in_yen_is_what_sap_means_and_not_what_it_stores() -> None:
    sap = mapping("sap_ekko_ekpo")
    header = {**(change("sap_ekko_insert").row or {}), "WAERS": "JPY"}
    assert event_of(sap, header, change("sap_ekpo_read").row).amount_net == Decimal(123450)


def test_a_deletion_flag_of_sap_counts_and_a_blank_one_does_not() -> None:
    sap = mapping("sap_ekko_ekpo")
    for name, is_deleted in (("sap_ekpo_read", False), ("sap_ekpo_flagged", True)):
        image = sap.image(LINE, change(name).row or {}, None)
        assert sap.tables[LINE].is_deleted(image) is is_deleted


def test_oracle_numbers_are_multiplied_exactly() -> None:
    oracle = mapping("oracle_po")
    header = {
        "PO_HEADER_ID": Decimal(5501),
        "SEGMENT1": "7788",
        "ORG_ID": Decimal(204),
        "VENDOR_ID": Decimal(42),
        "CURRENCY_CODE": "USD",
        "CREATION_DATE": datetime(2024, 5, 6, 7, 8, tzinfo=UTC),
        "CANCEL_FLAG": None,
    }
    line = {**(change("oracle_line_insert").row or {}), "QUANTITY": Decimal(3)}
    line["UNIT_PRICE"] = Decimal("12.345678901234567")
    event = event_of(oracle, header, line)
    assert event.amount_net == Decimal("37.037036703703701")
    assert (event.supplier_id, event.line_no, event.unit) == ("42", 1, "kg")


def test_a_column_that_did_not_change_is_as_it_was_and_no_other_column_is_kept() -> None:
    which = mapping("erp_example")
    row = dict.fromkeys(which.columns(LINE), "1") | {"secret": "not for us"}
    before = which.image(LINE, row, None)
    assert "secret" not in before
    assert which.image(LINE, {**row, "item_id": UNAVAILABLE}, {**before, "item_id": "x"})[
        "item_id"
    ] == ("x")
    for broken in ({**row, "item_id": UNAVAILABLE}, {"po_id": "1"}):
        with pytest.raises(RejectedRecord, match="REPLICA IDENTITY FULL") as refusal:
            which.image(LINE, broken, None)
        assert refusal.value.code == "missing_column"


def test_keys_of_two_columns_never_meet() -> None:
    assert key_of(("a", "b"), {"a": "1/2", "b": "3"}) != key_of(("a", "b"), {"a": "1", "b": "2/3"})
    with pytest.raises(RejectedRecord, match="a, b"):
        key_of(("a", "b"), {"a": "1"}, None, {"b": "2"})


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_mapping_that_is_shipped_is_sound(path: Path) -> None:
    assert read_mapping(path).columns(LINE)


SOUND = (FOLDER / "erp_example.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[header]", "[heading]", "heading"),
        ('currency = "header.currency"\n', "", "the event's currency is from nowhere"),
        ("header.currency", "currency", "header.COLUMN"),
        ("amount_net =", "amount_nett =", "'amount_nett' is no field"),
        ('header = ["po_id"] ', 'header = ["po_id", "line_no"] ', "as many columns"),
        ('ordered_on = "date"', 'ordered_on = "day"', "'day'"),
        ('table = "purchasing.purchase_order"\n', "", "table"),
        ("[event]", "[event", "Expected"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    assert old in SOUND
    path = tmp_path / "broken.toml"
    path.write_text(SOUND.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"broken\.toml") as refusal:
        read_mapping(path)
    assert said in refusal.value.message


def test_an_unknown_mapping_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="sap_ekko_ekpo"):
        find_mapping("dynamics")
