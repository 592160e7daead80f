"""Sparkplug B payloads: protobuf to metrics, names by alias, and asking for a birth.

Belongs here: the public payload definition of Eclipse Tahu (sparkplug_b.proto) as far as meters
need it, and exact values. Does not: what a metric means for the ledger (meter_mapping).

Unknown fields of the wire format (templates, data sets, properties) are passed over by protobuf.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from carbon_ledger.errors import RejectedRecord

NAMESPACE: Final = "spBv1.0"
BIRTHS: Final = {"NDATA": "NBIRTH", "DDATA": "DBIRTH"}
REBIRTH: Final = "Node Control/Rebirth"
BOOLEAN: Final = 11
# Bits of the signed integer types, Int8 to Int64, by their number (specification, 6.4.16).
_SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}
METRICS_MAX: Final = 5000

_TYPES = descriptor_pb2.FieldDescriptorProto
# Field: (number, type). All are optional but the metrics of a payload.
_METRIC_FIELDS: Final = {
    "name": (1, _TYPES.TYPE_STRING),
    "alias": (2, _TYPES.TYPE_UINT64),
    "timestamp": (3, _TYPES.TYPE_UINT64),
    "datatype": (4, _TYPES.TYPE_UINT32),
    "is_historical": (5, _TYPES.TYPE_BOOL),
    "is_transient": (6, _TYPES.TYPE_BOOL),
    "is_null": (7, _TYPES.TYPE_BOOL),
    "int_value": (10, _TYPES.TYPE_UINT32),
    "long_value": (11, _TYPES.TYPE_UINT64),
    "float_value": (12, _TYPES.TYPE_FLOAT),
    "double_value": (13, _TYPES.TYPE_DOUBLE),
    "boolean_value": (14, _TYPES.TYPE_BOOL),
    "string_value": (15, _TYPES.TYPE_STRING),
}
_PAYLOAD_FIELDS: Final = {
    "timestamp": (1, _TYPES.TYPE_UINT64),
    "seq": (3, _TYPES.TYPE_UINT64),
    "uuid": (4, _TYPES.TYPE_STRING),
}
VALUES: Final = tuple(name for name in _METRIC_FIELDS if name.endswith("_value"))


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="sparkplug_b.proto", package="org.eclipse.tahu.protobuf", syntax="proto2"
    )
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    for message, table in ((payload, _PAYLOAD_FIELDS), (metric, _METRIC_FIELDS)):
        for name, (number, kind) in table.items():
            message.field.add(name=name, number=number, type=kind, label=_TYPES.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=_TYPES.TYPE_MESSAGE,
        type_name=".org.eclipse.tahu.protobuf.Payload.Metric",
        label=_TYPES.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("org.eclipse.tahu.protobuf.Payload")
    )


Payload: Final = _payload_class()


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric: `timestamp` in milliseconds since 1970, `value` exact, None for null."""

    name: str | None
    alias: int | None
    timestamp: int | None
    datatype: int | None
    value: Decimal | int | bool | str | None


def parse(payload: bytes) -> list[Metric]:
    """The metrics of a payload; a metric without a time has the payload's.

    Raises RejectedRecord `not_sparkplug`, `too_many_items`.
    """
    message = Payload()
    try:
        message.ParseFromString(payload)
        if len(message.metrics) <= METRICS_MAX:
            sent_at = message.timestamp if message.HasField("timestamp") else None
            return [_metric(one, sent_at) for one in message.metrics]
    except (DecodeError, UnicodeDecodeError) as error:
        raise RejectedRecord(
            "not_sparkplug",
            f"the payload is no Sparkplug B payload: {str(error)[:200]}",
            value=payload[:30].hex(),
            valid="a protobuf org.eclipse.tahu.protobuf.Payload",
        ) from None
    raise RejectedRecord(
        "too_many_items",
        f"the payload has {len(message.metrics)} metrics",
        value=len(message.metrics),
        valid=f"at most {METRICS_MAX}",
    )


def _metric(one: Any, sent_at: int | None) -> Metric:
    def given(name: str) -> Any:
        return getattr(one, name) if one.HasField(name) else None

    timestamp = given("timestamp")
    return Metric(
        name=given("name") or None,
        alias=given("alias"),
        timestamp=sent_at if timestamp is None else timestamp,
        datatype=given("datatype"),
        value=None if one.is_null else _value(one),
    )


def _value(one: Any) -> Any:
    """The value that is set; binary floating point enters as the shortest text that denotes it."""
    for name in VALUES:
        if one.HasField(name):
            value = getattr(one, name)
            if name == "float_value":
                return shortest_single(value)
            return Decimal(str(value)) if name == "double_value" else value
    return None


def shortest_single(value: float) -> Decimal:
    """The shortest decimal that a 32-bit float nearest to it is read back from."""
    wanted = struct.pack("<f", value)
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == wanted:
                return Decimal(text)
        except OverflowError:
            continue
    return Decimal(f"{value:.9g}")


def signed(value: Any, datatype: int | None) -> Any:
    """An integer as its type means it: the wire carries negative ones as large positive ones."""
    bits = _SIGNED_BITS.get(datatype or 0)
    if bits is None or not isinstance(value, int) or isinstance(value, bool):
        return value
    width = 64 if bits == 64 else 32
    return value - (1 << width) if value >= 1 << (width - 1) else value


class Aliases:
    """What births said: for each node or device, the name and type behind an alias."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, tuple[str, int | None]]] = {}
        self._types: dict[str, dict[str, int | None]] = {}

    def learn(self, edge: str, metrics: list[Metric]) -> None:
        """A birth replaces all that was known of that edge."""
        self._known[edge] = {
            one.alias: (one.name, one.datatype)
            for one in metrics
            if one.alias is not None and one.name
        }
        self._types[edge] = {one.name: one.datatype for one in metrics if one.name}

    def named(self, edge: str, metrics: list[Metric]) -> Iterator[Metric]:
        """The metrics under their names, integers with their signs.

        Raises RejectedRecord `unknown_alias` for one whose birth was not seen.
        """
        known = self._known.get(edge, {})
        for one in metrics:
            name, datatype = one.name, one.datatype
            if name is None:
                if one.alias not in known:
                    raise RejectedRecord(
                        "unknown_alias",
                        f"alias {one.alias} of {edge} has no name: its birth was not seen",
                        field="alias",
                        value=one.alias,
                        valid=", ".join(map(str, sorted(known)[:20])) or None,
                    )
                name, learned = known[one.alias]
                datatype = learned if datatype is None else datatype
            elif datatype is None:
                datatype = self._types.get(edge, {}).get(name)
            yield Metric(
                name=name,
                alias=one.alias,
                timestamp=one.timestamp,
                datatype=datatype,
                value=signed(one.value, datatype),
            )


def rebirth(timestamp: int) -> bytes:
    """The command that makes a node say its births again (specification, 6.4.22)."""
    message = Payload(timestamp=timestamp)
    message.metrics.add(name=REBIRTH, timestamp=timestamp, datatype=BOOLEAN, boolean_value=True)
    return bytes(message.SerializeToString())
