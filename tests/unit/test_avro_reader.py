"""The bundle's own Avro reader gives what fastavro gives, field by field and fault by fault."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import fastavro
import pytest

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lineage.avro_reader import decoded
from carbon_ledger.stream_events import widest_schema_file
from pipeline.serialization import schema_text, widest_schema_text
from spark.decode import WriterSchema, decode_body, parsed_schema
from tests.support.event_cases import framed, sendable
from tests.support.malformed import malformed_records
from tests.support.micro_batch import reading

FRAME_BYTES = 5


@pytest.mark.parametrize(("stream", "fields"), sendable())
def test_every_event_reads_as_with_fastavro(stream: str, fields: dict[str, Any]) -> None:
    body = framed(stream, fields, 1)[FRAME_BYTES:]
    text = widest_schema_text(stream)
    writer = WriterSchema(schema_id=1, text=text, sha256=bytes(32))
    expected = decode_body(body, writer, text).fields
    assert decoded(body, text, text) == expected
    assert decoded(body, text, widest_schema_file(stream)) == expected


def test_an_older_writer_gets_the_readers_defaults_and_a_newer_one_is_cut() -> None:
    older = json.loads(schema_text("iot_energy"))
    older["fields"] = [one for one in older["fields"] if one["name"] != "revision"]
    newer = json.loads(schema_text("iot_energy"))
    newer["fields"].append({"name": "more", "type": ["null", "string"], "default": None})
    fields = reading(3).to_avro_fields()
    for schema, values in ((older, fields), (newer, {**fields, "more": "x"})):
        text = json.dumps(schema)
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed_schema(text), values)
        writer = WriterSchema(schema_id=1, text=text, sha256=bytes(32))
        reader = widest_schema_text("iot_energy")
        expected = decode_body(body.getvalue(), writer, reader).fields
        assert decoded(body.getvalue(), text, reader) == expected
        assert "more" not in expected
        assert expected["revision"] == 0


def _code_or_fields(decode: Callable[[], Any]) -> Any:
    try:
        found = decode()
    except RejectedRecord as reason:
        return reason.code
    return getattr(found, "fields", found)


def test_what_cannot_be_decoded_is_refused_for_the_same_reason() -> None:
    """Of thousands of malformed records, those that fail in the Avro bytes."""
    text = schema_text("iot_energy")
    writer = WriterSchema(schema_id=7, text=text, sha256=bytes(32))
    refused = 0
    for one in malformed_records(2_000, 7, datetime(2026, 1, 1, tzinfo=UTC), seed=9):
        value = one.value or b""
        if len(value) < FRAME_BYTES or value[:FRAME_BYTES] != bytes([0, 0, 0, 0, 7]):
            continue
        body = value[FRAME_BYTES:]
        theirs = _code_or_fields(partial(decode_body, body, writer, text))
        ours = _code_or_fields(partial(decoded, body, text, text))
        # Where the bytes end is told by one of the two as what they cannot be.
        loose = {"truncated_avro", "malformed_avro"}
        assert ours == theirs or {str(ours), str(theirs)} <= loose
        refused += isinstance(theirs, str)
    assert refused > 100


def test_promotions_arrays_maps_enums_and_nested_records() -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "n", "type": "int"}]}
    wide = json.loads(json.dumps(inner).replace('"int"', '"long"'))
    kinds = {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}

    def outer(one: Any, text: str) -> str:
        fields = [
            {"name": "many", "type": {"type": "array", "items": one}},
            {"name": "by_name", "type": {"type": "map", "values": "Inner"}},
            {"name": "kind", "type": kinds},
            {"name": "flag", "type": "boolean"},
            {"name": "text", "type": ["null", text]},
        ]
        return json.dumps({"type": "record", "name": "Outer", "fields": fields})

    writer, reader = outer(inner, "bytes"), outer(wide, "string")
    values = {
        "many": [{"n": 1}, {"n": -(2**31)}],
        "by_name": {"x": {"n": 7}},
        "kind": "B",
        "flag": True,
        "text": "é".encode(),
    }
    body = io.BytesIO()
    fastavro.schemaless_writer(body, parsed_schema(writer), values)
    assert decoded(body.getvalue(), writer, reader) == {**values, "text": "é"}
    with pytest.raises(RejectedRecord, match="bytes follow"):
        decoded(body.getvalue() + b"\x00", writer, reader)
    with pytest.raises(RejectedRecord, match="does not resolve"):
        decoded(body.getvalue(), writer, writer.replace('"boolean"', '"long"'))
