"""What a dead letter's bytes say, and the event that edited fields make of them.

Belongs here: reading bytes as far as they can be read, editing fields, encoding the repaired event
by our own schema. Does not: whether it may be sent (carbon_ledger.store.letter_decisions), sending
it (pipeline.letter_replay). What is encrypted of a person stays as it is: nothing here has a key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import ActivityEvent, AvroField, avro_fields
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.lineage.avro_reader import decoded
from carbon_ledger.stream_events import (
    METER_STREAM,
    PLAIN_FIELDS,
    WIDER_SCHEMAS,
    own_part,
    says_more,
    widest_schema_file,
)
from pipeline.serialization import FRAME, MAGIC_BYTE
from pipeline.topics import STREAM_TOPICS

HEX_BYTES_SHOWN: Final = 512
TEXT_SHOWN: Final = 4_000
JSON_BYTES_MAX: Final = 4 * 1024 * 1024

# The texts a schema id has stood for, the latest first; () for an id never seen.
SchemaTexts = Callable[[int], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class View:
    """Bytes as far as they can be read: `form` is empty, avro, json, text or bytes.

    `fields` is there for an Avro record and a JSON object, `text` for everything else; `note` says
    why a better reading failed.
    """

    form: str
    fields: Mapping[str, Any] | None = None
    text: str | None = None
    note: str | None = None


def view(value: bytes | None, stream: str | None, schema_texts: SchemaTexts) -> View:
    """Reads `value` as a record of `stream`, as JSON, as text, or shows its bytes; never raises
    RejectedRecord.
    """
    if not value:
        return View(form="empty", note="the record has no value")
    note = None
    if value[0] == MAGIC_BYTE:
        try:
            return View(form="avro", fields=_avro(value, stream, schema_texts))
        except RejectedRecord as problem:
            note = f"no Avro record: {problem}"
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        return View(
            form="bytes",
            text=hexdump(value),
            note=note or f"not UTF-8: {error.reason} at byte {error.start}",
        )
    found = _json(text) if len(value) <= JSON_BYTES_MAX else None
    if isinstance(found, dict):
        return View(form="json", fields=found, note=note)
    if found is None and note is not None:
        return View(form="bytes", text=hexdump(value), note=note)
    return View(form="text", text=text[:TEXT_SHOWN].replace("\0", "\\x00"), note=note)


def hexdump(value: bytes, limit: int = HEX_BYTES_SHOWN) -> str:
    """The first bytes, sixteen a line: offset, hexadecimal, what of them is printable ASCII."""
    lines = []
    for start in range(0, min(len(value), limit), 16):
        part = value[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):<47}  {shown}")
    if len(value) > limit:
        lines.append(f"... {len(value) - limit:,} more bytes")
    return "\n".join(lines)


def edited_fields(
    stream: str, found: View, changes: Mapping[str, str], whole: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The fields of the record after the edit: `whole` in their place if given, then `changes`.

    Raises RejectedRecord: a name that is no field of the stream's events, a value that is not of
    the field's type, or nothing to edit because the bytes cannot be read.
    """
    _known_stream(stream)
    if whole is None and found.fields is None:
        raise RejectedRecord(
            "not_editable",
            f"the bytes cannot be read as a record ({found.note or found.form}), so single fields "
            "cannot be set",
            valid="all fields of the event as a JSON object: `value` (--value FILE)",
        )
    fields = dict(found.fields or {}) if whole is None else dict(whole)
    known = {field.name: field for field in avro_fields(WIDER_SCHEMAS.get(stream, stream))}
    for name, text in changes.items():
        if name not in known:
            raise RejectedRecord(
                "unknown_field",
                f"{name[:60]!r} is no field of {stream}",
                field=name,
                valid=", ".join(known),
            )
        fields[name] = _value_of(known[name], text)
    return fields


def event_of_fields(
    stream: str, fields: Mapping[str, Any], now: datetime
) -> IoTEnergyEvent | ActivityEvent:
    """The event that named values describe, checked as the ledger will. Raises RejectedRecord."""
    _known_stream(stream)
    if stream != METER_STREAM or says_more(fields):
        event_class = EVENT_KINDS[stream].class_of(fields)
        return event_class.from_fields(own_part(stream, event_class, fields), now)
    known = {field.name: field for field in avro_fields(METER_STREAM)}
    wider = {field.name for field in avro_fields(WIDER_SCHEMAS[METER_STREAM])}
    for name in fields:
        if name not in known and name not in wider:
            raise RejectedRecord(
                "unknown_field",
                f"{str(name)[:60]!r} is no field of a meter reading",
                field=str(name),
                valid=", ".join(known),
            )
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in fields and field.is_required:
            raise RejectedRecord("missing_field", f"{name} is missing", field=name)
        values[name] = field.of_text(fields.get(name, field.default))
    event = IoTEnergyEvent(**{name: values[name] for name in PLAIN_FIELDS})
    event.check(now)
    return event


def key_of_event(stream: str, event: IoTEnergyEvent | ActivityEvent) -> bytes:
    """The Kafka key of the event: the natural key of its stream's topic."""
    return str(getattr(event, str(STREAM_TOPICS[stream].key_field))).encode()


def _known_stream(stream: str) -> None:
    if stream not in EVENT_KINDS:
        raise RejectedRecord(
            "unknown_stream",
            f"{stream!r} is no stream",
            field="stream",
            value=stream,
            valid=", ".join(EVENT_KINDS),
        )


def _avro(value: bytes, stream: str | None, schema_texts: SchemaTexts) -> dict[str, Any]:
    if len(value) < FRAME.size:
        raise RejectedRecord("truncated_avro", f"the frame ends after {len(value)} bytes")
    if stream not in STREAM_TOPICS:
        raise RejectedRecord("unknown_stream", "the stream is not known")
    _, schema_id = FRAME.unpack(value[: FRAME.size])
    texts = schema_texts(schema_id)
    if not texts:
        raise RejectedRecord("unknown_schema_id", f"schema id {schema_id} was never seen here")
    problem: RejectedRecord | None = None
    for text in texts:
        try:
            return decoded(value[FRAME.size :], text, widest_schema_file(str(stream)))
        except RejectedRecord as found:
            problem = problem or found
    raise problem or RejectedRecord("malformed_avro", "the record cannot be decoded")


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None


def _value_of(field: AvroField, text: str) -> Any:
    """What somebody typed for a field, as the field's type; `null` where a field may be empty."""
    if text == "null" and type(None) in field.types:
        return None
    if bool in field.types:
        if text not in ("true", "false"):
            raise RejectedRecord(
                "not_a_boolean",
                f"{field.name}: {text[:60]!r} is neither true nor false",
                field=field.name,
                value=text,
                valid="true or false",
            )
        return text == "true"
    if list in field.types:
        found = _json(text)
        if not isinstance(found, list):
            raise RejectedRecord(
                "not_a_list",
                f"{field.name}: {text[:60]!r} is not a list",
                field=field.name,
                value=text,
                valid='a JSON list such as ["a", "b"]',
            )
        return found
    return field.of_text(text)
