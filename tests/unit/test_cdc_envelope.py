"""What Debezium writes is read exactly: the shapes of its PostgreSQL and Oracle documentation."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import RejectedRecord
from pipeline.sources.cdc_envelope import UNAVAILABLE, log_position, read_change, read_value

GOLDEN = Path(__file__).parents[1] / "golden" / "debezium"


def message(name: str) -> tuple[bytes | None, bytes | None]:
    """Key and value of a golden message, as Kafka has them."""
    content = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return tuple(  # type: ignore[return-value]
        None if content[part] is None else json.dumps(content[part]).encode()
        for part in ("key", "value")
    )


def test_an_oracle_insert_has_the_digits_of_the_database() -> None:
    change = read_change(*message("oracle_line_insert"))
    assert change is not None
    assert (change.operation, change.table) == ("insert", "PO.PO_LINES_ALL")
    assert change.position == "00000000000002868546.0x000036.00005c6e.0010.0000000001"
    assert change.key == {"PO_LINE_ID": Decimal(88412)}
    assert change.row == {
        "PO_LINE_ID": Decimal(88412),  # NUMBER
        "PO_HEADER_ID": Decimal(5501),  # NUMBER
        "LINE_NUM": 1,  # NUMBER(9)
        "ITEM_ID": None,
        "UNIT_PRICE": Decimal("12.345678901234567890123"),  # NUMBER
        "QUANTITY": Decimal("-0.005"),  # NUMBER
        "LINE_TOTAL": Decimal("12345678901234567890.12"),  # NUMBER(22,2)
        "UNIT_MEAS_LOOKUP_CODE": "Kilogram",
        "CANCEL_FLAG": None,
        "NEED_BY_DATE": datetime(2024, 5, 6, tzinfo=UTC),  # DATE
        "LAST_UPDATE_DATE": datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),  # TIMESTAMP(6)
    }
    assert not change.is_snapshot


def test_an_oracle_delete_has_the_row_as_it_was_and_its_tombstone_says_nothing() -> None:
    change = read_change(*message("oracle_line_delete"))
    assert change is not None
    assert (change.operation, change.row) == ("delete", None)
    assert change.before is not None
    assert change.before["QUANTITY"] == Decimal("1E+3")
    assert read_change(*message("oracle_tombstone")) is None


def test_an_oracle_update_with_the_envelope_switched_off() -> None:
    change = read_change(
        *message("oracle_line_update_schemaless"),
        {"LINE_TOTAL": "decimal(2)", "NEED_BY_DATE": "timestamp_ms"},
    )
    assert change is not None
    assert change.operation == "update"
    assert change.row == {
        "PO_LINE_ID": Decimal(88412),
        "PO_HEADER_ID": Decimal(5501),
        "LINE_NUM": 1,
        "UNIT_PRICE": Decimal("0.1"),
        "LINE_TOTAL": Decimal("-1.28"),
        "NEED_BY_DATE": datetime(2024, 5, 6, tzinfo=UTC),
    }


def test_a_snapshot_read_and_a_truncated_table() -> None:
    read = read_change(*message("sap_ekpo_read"))
    assert read is not None
    assert (read.operation, read.is_snapshot, read.ends_snapshot) == ("read", True, True)
    assert read.row is not None
    assert (read.row["NETWR"], read.row["EBELP"]) == (Decimal("1234.50"), "00010")
    gone = read_change(*message("postgres_truncate"))
    assert gone is not None
    assert (gone.operation, gone.row, gone.before) == ("truncate", None, None)


def test_a_postgres_update_as_the_embedded_worker_writes_it() -> None:
    change = read_change(*message("postgres_line_update"))
    assert change is not None
    assert change.position == "00000000000026931216"
    assert change.row is not None
    assert change.row["net_amount"] == "100.25"
    assert change.row["changed_at"] == datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    assert change.before is not None
    assert change.before["ordered_on"] == date(2024, 5, 6)


@given(st.integers(-(10**40), 10**40), st.integers(-10, 38))
def test_every_number_comes_back_with_all_its_digits(unscaled: int, scale: int) -> None:
    size = unscaled.bit_length() // 8 + 1
    text = base64.b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()
    expected = Decimal(f"{unscaled}E{-scale}")
    variable = {"name": "io.debezium.data.VariableScaleDecimal"}
    assert read_value("c", {"scale": scale, "value": text}, variable) == expected
    fixed = {
        "name": "org.apache.kafka.connect.data.Decimal",
        "parameters": {"scale": str(scale)},
    }
    assert read_value("c", text, fixed) == expected


@given(st.integers(0, 10**18), st.integers(0, 10**18))
def test_places_in_the_log_sort_as_numbers(one: int, other: int) -> None:
    first, second = log_position({"lsn": one}), log_position({"lsn": other})
    assert (first < second) == (one < other)


def test_changes_under_one_system_change_number_sort_by_their_redo_record() -> None:
    def place(rs_id: str | None, ssn: int | None) -> str:
        return log_position({"connector": "oracle", "scn": "77", "rs_id": rs_id, "ssn": ssn})

    places = [place(None, None), place(" 0x01.02.0010 ", 1), place("0x01.02.0010", 2)]
    assert places == sorted(set(places))
    assert places[-1] < log_position({"connector": "oracle", "scn": "78"})


def change_with(**changes: Any) -> bytes:
    envelope = {"op": "c", "source": {"lsn": 1, "schema": "s", "table": "t"}, "after": {"a": "1"}}
    return json.dumps({**envelope, **changes}).encode()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"\xff", "not_json"),
        (b"{", "not_json"),
        (b"[]", "not_a_change"),
        (b'{"a": 1}', "not_a_change"),
        (change_with(op="x"), "unknown_operation"),
        (change_with(source={"schema": "s"}), "no_log_position"),
        (change_with(source={"lsn": -1}), "no_log_position"),
        (change_with(source={"lsn": "9" * 21}), "no_log_position"),
        (change_with(after={"a": 1.5}), "inexact_column"),
        (change_with(after={"a": [1]}), "unreadable_value"),
        (change_with(after="a"), "not_a_change"),
    ],
)
def test_what_is_no_change_is_refused_by_name(value: bytes, code: str) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        read_change(None, value)
    assert refusal.value.code == code
    assert refusal.value.valid


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("!!", {"name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}),
        ("AQ==", {"name": "org.apache.kafka.connect.data.Decimal"}),
        ({"value": "AQ=="}, {"name": "io.debezium.data.VariableScaleDecimal"}),
        ("2024-05-06", {"name": "io.debezium.time.Date"}),
        (10**12, {"name": "io.debezium.time.Date"}),
        (True, {"name": "io.debezium.time.Timestamp"}),
        (1_700_000_000_000_000_001, {"name": "io.debezium.time.NanoTimestamp"}),
        ("yesterday", {"name": "io.debezium.time.ZonedTimestamp"}),
        (1.0, {"type": "double"}),
    ],
)
def test_a_value_that_its_type_does_not_have_is_refused(value: Any, schema: Any) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        read_value("NETWR", value, schema)
    assert refusal.value.field == "NETWR"


def test_a_column_that_the_log_does_not_have_stays_marked() -> None:
    assert read_value("c", UNAVAILABLE, {"type": "string"}) == UNAVAILABLE
    assert read_value("c", None, {"name": "io.debezium.time.Date"}) is None
