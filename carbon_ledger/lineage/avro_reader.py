"""Avro's binary encoding read with the standard library alone: for whoever checks without us.

Belongs here: one record of a writer's schema, as a reader's schema has it (Apache Avro 1.12
specification, binary encoding and schema resolution). Does not: files, blocks, writing; aliases,
fixed values and binary floating point, which our schemas do not use: numbers are decimal text.
Logical types change no bytes and are left as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord

# Which writers' primitive types a reader's may be read from (schema resolution, promotions).
_PROMOTIONS: Final[dict[str, tuple[str, ...]]] = {
    "long": ("int",),
    "string": ("bytes",),
    "bytes": ("string",),
}
_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "bytes", "string"})
_MAX_VARINT_BYTES: Final = 10


class _Bytes:
    """Bytes read one after the other; RejectedRecord `truncated_avro` at their end."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.place = 0

    def take(self, count: int) -> bytes:
        if count < 0:
            raise RejectedRecord("malformed_avro", f"a length of {count} bytes")
        end = self.place + count
        if end > len(self._body):
            raise RejectedRecord(
                "truncated_avro", f"the Avro body ends too early, after {len(self._body)} bytes"
            )
        found = self._body[self.place : end]
        self.place = end
        return found

    def long(self) -> int:
        """Zig-zag, seven bits a byte, low ones first."""
        raw = 0
        for number in range(_MAX_VARINT_BYTES):
            byte = self.take(1)[0]
            raw |= (byte & 0x7F) << (7 * number)
            if not byte & 0x80:
                return raw >> 1 ^ -(raw & 1)
        raise RejectedRecord("malformed_avro", "a number of more than ten bytes")


def decoded(body: bytes, writer_text: str, reader_text: str) -> dict[str, Any]:
    """The fields of one record as the reader's schema has them.

    Raises RejectedRecord: `truncated_avro`, `trailing_bytes`, `bad_utf8`, `malformed_avro`,
    `incompatible_schema`.
    """
    writer, reader = json.loads(writer_text), json.loads(reader_text)
    names: dict[str, Any] = {}
    _collect(writer, names, "")
    reader_names: dict[str, Any] = {}
    _collect(reader, reader_names, "")
    source = _Bytes(body)
    try:
        fields = _read(source, writer, reader, names, reader_names)
    except UnicodeDecodeError as error:
        raise RejectedRecord("bad_utf8", f"a text field is not UTF-8: {error.reason}") from error
    left = len(body) - source.place
    if left:
        raise RejectedRecord(
            "trailing_bytes", f"{left} bytes follow the Avro record", value=left, valid="no bytes"
        )
    if not isinstance(fields, dict):
        raise RejectedRecord("malformed_avro", "the writer's schema is not a record")
    return fields


def _collect(schema: Any, names: dict[str, Any], space: str) -> None:
    """Every named type, by its name with and without its namespace."""
    if isinstance(schema, list):
        for one in schema:
            _collect(one, names, space)
    elif isinstance(schema, dict):
        space = schema.get("namespace", space)
        if "name" in schema and schema.get("type") in ("record", "enum"):
            names[schema["name"]] = schema
            names[f"{space}.{schema['name']}"] = schema
        for one in schema.get("fields", ()):
            _collect(one["type"], names, space)
        for key in ("items", "values", "type"):
            if isinstance(schema.get(key), dict | list):
                _collect(schema[key], names, space)


def _kind(schema: Any, names: Mapping[str, Any]) -> tuple[str, Any]:
    """The kind of a schema and the schema with its names resolved."""
    if isinstance(schema, list):
        return "union", schema
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return schema, schema
        if schema not in names:
            raise RejectedRecord("malformed_avro", f"a schema names {schema!r}, which is not in it")
        schema = names[schema]
    found = schema["type"]
    if isinstance(found, dict | list):
        return _kind(found, names)
    return ("union" if isinstance(found, list) else str(found)), schema


def _read(
    source: _Bytes, writer: Any, reader: Any, names: dict[str, Any], reader_names: dict[str, Any]
) -> Any:
    kind, writer = _kind(writer, names)
    if kind == "union":
        branch = source.long()
        if not 0 <= branch < len(writer):
            raise RejectedRecord("malformed_avro", f"a union has no branch {branch}")
        return _read(source, writer[branch], reader, names, reader_names)
    target, reader = _kind(reader, reader_names)
    if target == "union":
        reader = _branch_for(kind, reader, reader_names)
        target, reader = _kind(reader, reader_names)
    if target != kind and kind not in _PROMOTIONS.get(target, ()):
        raise _incompatible(kind, target)
    if kind == "record":
        return _record(source, writer, reader, names, reader_names)
    if kind == "array":
        return _blocks(source, writer["items"], reader["items"], names, reader_names)
    if kind == "map":
        pairs = _blocks(source, writer["values"], reader["values"], names, reader_names, True)
        return dict(pairs)
    if kind == "enum":
        number = source.long()
        if not 0 <= number < len(writer["symbols"]):
            raise RejectedRecord("malformed_avro", f"an enum has no symbol {number}")
        return writer["symbols"][number]
    return _primitive(source, kind, target)


def _branch_for(kind: str, reader: list[Any], reader_names: dict[str, Any]) -> Any:
    kinds = [_kind(one, reader_names)[0] for one in reader]
    if kind in kinds:
        return reader[kinds.index(kind)]
    for one, found in zip(reader, kinds, strict=True):
        if kind in _PROMOTIONS.get(found, ()):
            return one
    raise _incompatible(kind, f"union of {', '.join(kinds)}")


def _incompatible(writer: str, reader: str) -> RejectedRecord:
    return RejectedRecord(
        "incompatible_schema", f"a {writer} of the writer's schema does not resolve to {reader}"
    )


def _record(
    source: _Bytes, writer: Any, reader: Any, names: dict[str, Any], reader_names: dict[str, Any]
) -> dict[str, Any]:
    wanted = {one["name"]: one for one in reader["fields"]}
    found: dict[str, Any] = {}
    for one in writer["fields"]:
        if one["name"] in wanted:
            target = wanted[one["name"]]["type"]
            found[one["name"]] = _read(source, one["type"], target, names, reader_names)
        else:
            _read(source, one["type"], one["type"], names, names)
    for name, one in wanted.items():
        if name not in found:
            if "default" not in one:
                raise RejectedRecord(
                    "incompatible_schema", f"the writer has no field {name}, which has no default"
                )
            found[name] = one["default"]
    return {name: found[name] for name in wanted}


def _blocks(
    source: _Bytes,
    writer: Any,
    reader: Any,
    names: dict[str, Any],
    reader_names: dict[str, Any],
    is_map: bool = False,
) -> list[Any]:
    found: list[Any] = []
    while count := source.long():
        if count < 0:
            source.long()  # the block's size in bytes
            count = -count
        for _ in range(count):
            key = source.take(source.long()).decode() if is_map else None
            value = _read(source, writer, reader, names, reader_names)
            found.append((key, value) if is_map else value)
    return found


def _primitive(source: _Bytes, kind: str, target: str) -> Any:
    if kind == "null":
        return None
    if kind == "boolean":
        byte = source.take(1)[0]
        if byte > 1:
            raise RejectedRecord("malformed_avro", f"a boolean of byte {byte}")
        return bool(byte)
    if kind in ("int", "long"):
        return source.long()
    content = source.take(source.long())
    return content.decode() if target == "string" else content
