"""Reading what Debezium writes: the change of one row, with its values exactly as the database has
them.

Belongs here: Kafka Connect's JSON, with and without its schema, Debezium's envelope, and the kinds
of values in it. Does not: which table is what (cdc_mapping), what follows from a change
(cdc_rows).

The shapes are those of Debezium's documentation of its PostgreSQL and Oracle connectors.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord

# What a value of a row can be once it is read. A column that the log does not have because it was
# not changed is UNAVAILABLE.
Value = str | int | bool | Decimal | date | datetime | None
Row = Mapping[str, Value]

UNAVAILABLE: Final = "__debezium_unavailable_value"
OPERATIONS: Final = {"c": "insert", "r": "read", "u": "update", "d": "delete", "t": "truncate"}
# What `source.snapshot` says of a row that was read, and not changed.
NO_SNAPSHOT: Final = (None, False, "false")
SNAPSHOT_LAST: Final = "last"
VARIABLE_SCALE: Final = "io.debezium.data.VariableScaleDecimal"
DIGITS_MAX: Final = 20

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one row (of all rows of the table: `truncate`).

    `position` orders the changes of a row, as text: the place in the database's log. `row` is the
    row as it is now, `before` as it was, as far as the log has it.
    """

    operation: str
    table: str
    position: str
    key: Row
    row: Row | None
    before: Row | None
    is_snapshot: bool
    ends_snapshot: bool


def read_change(
    key: bytes | None, value: bytes | None, types: Mapping[str, str] | None = None
) -> Change | None:
    """The change a record tells of; None for a tombstone, which tells Kafka and nobody else.

    `types` says what a column of a message without a schema is: `date`, `timestamp_ms`,
    `timestamp_us`, `decimal(SCALE)`. Raises RejectedRecord: `not_json`, `not_a_change`,
    `unknown_operation`, `no_log_position`, and what `read_value` raises.
    """
    if value is None:
        return None
    schema, envelope = _payload(value, "value")
    if not isinstance(envelope, dict) or not isinstance(envelope.get("source"), dict):
        raise RejectedRecord(
            "not_a_change",
            "the message is no change of a row",
            field="value",
            value=value.decode(errors="replace"),
            valid="Debezium's envelope: op, before, after and source",
        )
    operation = OPERATIONS.get(str(envelope.get("op")))
    if operation is None:
        raise RejectedRecord(
            "unknown_operation",
            f"op: {str(envelope.get('op'))[:60]!r} is no operation",
            field="op",
            value=envelope.get("op"),
            valid=", ".join(OPERATIONS),
        )
    source = envelope["source"]
    said = source.get("snapshot")
    types = types or {}
    return Change(
        operation=operation,
        table=f"{source.get('schema')}.{source.get('table')}",
        position=log_position(source),
        key=_key(key, types),
        row=_row(envelope.get("after"), _field(schema, "after"), types),
        before=_row(envelope.get("before"), _field(schema, "before"), types),
        is_snapshot=operation == "read" or said not in NO_SNAPSHOT,
        ends_snapshot=said == SNAPSHOT_LAST,
    )


def log_position(source: Mapping[str, Any]) -> str:
    """The place of a change in the log, as text that sorts as the changes of a row came about.

    PostgreSQL: `lsn`. Oracle: `scn`, then the redo record (`rs_id`) and the statement in it
    (`ssn`), because one system change number may cover several changes. A row is locked while a
    transaction that changed it is open, so the changes of one row are in this order; those of two
    rows need not be. Raises RejectedRecord `no_log_position`.
    """
    if source.get("connector") == "oracle" or "scn" in source:
        number, rest = source.get("scn"), ""
        if source.get("rs_id") is not None:
            ssn = source.get("ssn") or 0
            rest = f".{str(source['rs_id']).strip()}.{int(ssn):010d}"
    else:
        number, rest = source.get("lsn"), ""
    text = str(number)
    if (
        isinstance(number, bool)
        or not (text.isascii() and text.isdigit())
        or len(text) > DIGITS_MAX
    ):
        raise RejectedRecord(
            "no_log_position",
            f"source: {str(number)[:60]!r} is no place in the database's log",
            field="source",
            value=number,
            valid="lsn (PostgreSQL) or scn (Oracle), a whole number",
        )
    return f"{int(text):0{DIGITS_MAX}d}{rest}"


def _payload(data: bytes, what: str) -> tuple[Mapping[str, Any] | None, Any]:
    """Schema and payload of Kafka Connect's JSON; no schema where the converter writes none."""
    try:
        content = json.loads(data, parse_float=Decimal)
    except ValueError:
        raise RejectedRecord(
            "not_json",
            f"{what}: the message is not JSON",
            field=what,
            value=data.decode(errors="replace"),
            valid="what Kafka Connect's JsonConverter writes",
        ) from None
    if isinstance(content, dict) and content.keys() == {"schema", "payload"}:
        return content["schema"], content["payload"]
    return None, content


def _field(schema: Mapping[str, Any] | None, name: str) -> Mapping[str, Any] | None:
    for one in (schema or {}).get("fields") or ():
        if one.get("field") == name:
            found: Mapping[str, Any] = one
            return found
    return None


def _key(data: bytes | None, types: Mapping[str, str]) -> Row:
    if data is None:
        return {}
    schema, payload = _payload(data, "key")
    return _row(payload, schema, types) or {}


def _row(content: Any, schema: Mapping[str, Any] | None, types: Mapping[str, str]) -> Row | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise RejectedRecord(
            "not_a_change", "a row is not an object", field="value", value=content, valid="columns"
        )
    return {
        name: read_value(name, value, _field(schema, name), types.get(name))
        for name, value in content.items()
    }


def read_value(
    column: str, value: Any, schema: Mapping[str, Any] | None, declared: str | None = None
) -> Value:
    """One value, exactly: by its schema, or else as it is declared, or else as JSON has it.

    Moments without a time zone are UTC. Raises RejectedRecord `unreadable_value`, and
    `inexact_column` for a number that the connector made a binary one.
    """
    if value is None or value == UNAVAILABLE:
        return UNAVAILABLE if value is not None else None
    kind = (schema or {}).get("name") or declared
    if kind is None and isinstance(value, dict) and value.keys() == {"scale", "value"}:
        kind = VARIABLE_SCALE
    try:
        if kind is not None and kind.startswith("decimal("):
            return _unscaled(value, int(kind[8:-1]))
        if kind in _READERS:
            return _READERS[kind](value, schema or {})
    except (ValueError, TypeError, KeyError, OverflowError, binascii.Error) as error:
        raise _unreadable(column, value, kind) from error
    if (schema or {}).get("type") in ("double", "float") or isinstance(value, Decimal):
        raise RejectedRecord(
            "inexact_column",
            f"{column}: {str(value)[:60]} came as a binary number, which has not the digits of the "
            "database",
            field=column,
            value=value,
            valid="decimal.handling.mode=string or precise in the connector's configuration",
        )
    if isinstance(value, str | int):
        return value
    raise _unreadable(column, value, kind)


def _unreadable(column: str, value: Any, kind: str | None) -> RejectedRecord:
    return RejectedRecord(
        "unreadable_value",
        f"{column}: {str(value)[:60]!r} is no value of type {kind or 'text or whole number'}",
        field=column,
        value=value,
        valid="a value as Debezium documents that type",
    )


def _unscaled(value: str, scale: int) -> Decimal:
    """The big-endian two's complement number in base64, with `scale` digits after the point."""
    number = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    # Not `scaleb`: that would round to the context's digits.
    digits = tuple(map(int, str(abs(number))))
    return Decimal((1 if number < 0 else 0, digits, -scale))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _nanos(value: Any) -> datetime:
    micros, rest = divmod(_whole(value), 1000)
    if rest:
        raise ValueError(value)  # A datetime has no nanoseconds.
    return _EPOCH + timedelta(microseconds=micros)


def _iso(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _days(value: Any, _: Mapping[str, Any]) -> Value:
    return _FIRST_DAY + timedelta(days=_whole(value))


def _millis(value: Any, _: Mapping[str, Any]) -> Value:
    return _EPOCH + timedelta(milliseconds=_whole(value))


def _micros(value: Any, _: Mapping[str, Any]) -> Value:
    return _EPOCH + timedelta(microseconds=_whole(value))


_READERS: Final[dict[str, Callable[[Any, Mapping[str, Any]], Value]]] = {
    "org.apache.kafka.connect.data.Decimal": lambda value, schema: _unscaled(
        value, int(schema["parameters"]["scale"])
    ),
    VARIABLE_SCALE: lambda value, _: _unscaled(value["value"], _whole(value["scale"])),
    "date": _days,
    "io.debezium.time.Date": _days,
    "org.apache.kafka.connect.data.Date": _days,
    "timestamp_ms": _millis,
    "io.debezium.time.Timestamp": _millis,
    "org.apache.kafka.connect.data.Timestamp": _millis,
    "timestamp_us": _micros,
    "io.debezium.time.MicroTimestamp": _micros,
    "io.debezium.time.NanoTimestamp": lambda value, _: _nanos(value),
    "io.debezium.time.ZonedTimestamp": lambda value, _: _iso(value),
    "io.debezium.time.IsoTimestamp": lambda value, _: _iso(value),
    "io.debezium.time.IsoDate": lambda value, _: date.fromisoformat(value.rstrip("Z")),
}
