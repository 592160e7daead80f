"""What bytes say, as far as they can be read, and what an edit makes of them."""

from __future__ import annotations

import inspect
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.store import letter_decisions
from pipeline import letter_repair, letter_replay
from pipeline.letter_repair import edited_fields, event_of_fields, hexdump, key_of_event, view
from pipeline.serialization import encode, schema_text
from pipeline.topics import STREAM_TOPICS
from tests.support.event_cases import sendable

NOW = datetime(2026, 6, 1, tzinfo=UTC)
READING: dict[str, Any] = {
    "sensor_id": "M1",
    "facility_id": "F1",
    "country_iso2": "DE",
    "energy_kwh": "12.5",
    "energy_source": "grid",
    "grid_carbon_intensity_gco2_kwh": "385.2",
    "timestamp": "2025-03-30T00:30:00Z",
    "interval_seconds": 900,
}


def texts(schema_id: int) -> tuple[str, ...]:
    """The registry: 7 is the reader's own schema; 8 was another's first."""
    own = schema_text("iot_energy")
    return {7: (own,), 8: ('{"type":"record","name":"x","fields":[]}', own)}.get(schema_id, ())


def test_an_avro_record_is_read_by_whatever_its_schema_id_stood_for() -> None:
    event = IoTEnergyEvent(**READING)
    for schema_id in (7, 8):
        found = view(encode(event, schema_id), "iot_energy", texts)
        assert found.form == "avro"
        assert (found.fields or {})["energy_kwh"] == "12.5"


@pytest.mark.parametrize(
    ("value", "form", "note"),
    [
        (None, "empty", "no value"),
        (b"", "empty", "no value"),
        (b'{"a": 1.10}', "json", None),
        (b"[1, 2]", "text", None),
        (b"meter;12,5", "text", None),
        (b"caf\xe9", "bytes", "not UTF-8"),
        (b"\x00\x00", "bytes", "truncated|ends after"),
        (b"\x00\x00\x00\x00\x09abc", "bytes", "never seen"),
        (b"\x00\x00\x00\x00\x07\x08ab", "bytes", "ends too early"),
    ],
)
def test_bytes_are_read_as_far_as_they_can_be(
    value: bytes | None, form: str, note: str | None
) -> None:
    found = view(value, "iot_energy", texts)
    assert found.form == form
    if note is not None:
        assert any(part in str(found.note) for part in note.split("|"))


@given(st.binary(max_size=300), st.sampled_from([*STREAM_TOPICS, None, "no_stream"]))
def test_no_bytes_make_a_view_fail(value: bytes, stream: str | None) -> None:
    assert view(value, stream, texts).form in {"empty", "avro", "json", "text", "bytes"}


def test_deeply_nested_json_is_text() -> None:
    assert view(b"[" * 100_000, "iot_energy", texts).form == "text"


def test_a_dump_shows_offsets_hexadecimal_and_what_is_printable() -> None:
    lines = hexdump(b"\x00carbon\xff" * 100, limit=32).splitlines()
    assert lines[0].startswith("00000000  00 63 61")
    assert lines[0].endswith(".carbon..carbon.")
    assert lines[-1] == "... 768 more bytes"


@pytest.mark.parametrize("stream", sorted(set(EVENT_KINDS) - {"activities"}))
def test_an_untouched_record_of_any_stream_becomes_the_event_it_was(stream: str) -> None:
    """A repair alters what was edited, and nothing else."""
    cases = [fields for name, fields in sendable() if name == stream]
    assert cases
    for fields in cases:
        event = EVENT_KINDS[stream].class_of(fields)(**fields)
        try:
            event.check(NOW)
        except RejectedRecord:
            continue
        again = event_of_fields(stream, event.to_avro_fields(), NOW)
        assert again.event_id == event.event_id
        for name, value in again.to_avro_fields().items():
            assert event.to_avro_fields()[name] == value
        assert key_of_event(stream, again)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"energy_kwh": "twelve"}, "not_a_number"),
        ({"energy_kwh": "NaN"}, "not_finite"),
        ({"interval_seconds": "soon"}, "interval_out_of_range"),
        ({"interval_seconds": "900.5"}, "interval_out_of_range"),
        ({"timestamp": "yesterday"}, "not_a_timestamp"),
        ({"facility_id": "null"}, None),
        ({"region": "null"}, None),
        ({"nonsense": "1"}, "unknown_field"),
        ({"country_iso2": "QQ"}, "unknown_country"),
    ],
)
def test_what_was_typed_is_checked_as_the_ledger_will(
    changes: dict[str, str], code: str | None
) -> None:
    found = view(json.dumps(READING).encode(), "iot_energy", texts)

    def repair() -> object:
        fields = edited_fields("iot_energy", found, changes, None)
        return event_of_fields("iot_energy", fields, NOW)

    if code is None:
        assert isinstance(repair(), IoTEnergyEvent)
        return
    with pytest.raises(RejectedRecord) as caught:
        repair()
    assert caught.value.code == code


def test_fields_of_bytes_that_cannot_be_read_are_not_set_one_by_one() -> None:
    unreadable = view(b"\xff\xfe", "iot_energy", texts)
    with pytest.raises(RejectedRecord, match="--value FILE") as caught:
        edited_fields("iot_energy", unreadable, {"scope": "2"}, None)
    assert caught.value.code == "not_editable"
    assert edited_fields("iot_energy", unreadable, {"scope": "2"}, READING)["scope"] == 2


def test_what_would_be_valid_is_told_by_field_and_option_alike() -> None:
    for module in (letter_repair, letter_replay, letter_decisions):
        source = inspect.getsource(module)
        options = re.findall(r"(.{0,12})--(set|value|to-stream|force)\b", source)
        assert options
        for before, option in options:
            assert re.search(r"`(changes|value|stream|force)` \($", before), f"{before}--{option}"
