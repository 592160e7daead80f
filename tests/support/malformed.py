"""Records that no ledger should take, each kind with the one reason it must be refused for.

Belongs here: Avro bytes written by hand (so that faults no encoder would make can be made), and the
table of kinds. Does not: any code of the pipeline: an oracle that shares code with what it judges
would share its faults.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The registry of a test or demo is never this far.
UNKNOWN_SCHEMA_ID = 2_000_000_017


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """One record: what is wrong with it, the reason code it must get, its Kafka key and value."""

    kind: str
    reason_code: str
    key: bytes | None
    value: bytes | None


def long_bytes(number: int) -> bytes:
    """Avro int and long: zig-zag, seven bits a byte, least significant first."""
    zigzag = (number << 1) ^ (number >> 63) if -(2**63) <= number < 2**63 else number << 1
    out = bytearray()
    while True:
        low, zigzag = zigzag & 0x7F, zigzag >> 7
        if not zigzag:
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def text_bytes(text: str | bytes) -> bytes:
    """Avro string: its length in bytes, then the bytes."""
    raw = text.encode() if isinstance(text, str) else text
    return long_bytes(len(raw)) + raw


def optional_bytes(text: str | bytes | None) -> bytes:
    """Avro union of null and string."""
    return long_bytes(0) if text is None else long_bytes(1) + text_bytes(text)


def body_bytes(fields: dict[str, Any]) -> bytes:
    """The body of an IoTEnergyEvent, field by field in the schema's order; nothing is checked."""
    return b"".join(
        (
            text_bytes(fields["sensor_id"]),
            text_bytes(fields["facility_id"]),
            text_bytes(fields["country_iso2"]),
            optional_bytes(fields["region"]),
            text_bytes(fields["energy_kwh"]),
            text_bytes(fields["energy_source"]),
            optional_bytes(fields["grid_carbon_intensity_gco2_kwh"]),
            long_bytes(fields["timestamp"]),
            long_bytes(fields["interval_seconds"]),
            long_bytes(fields["scope"]),
            long_bytes(fields["revision"]),
        )
    )


def framed(schema_id: int, body: bytes) -> bytes:
    """Confluent framing."""
    return b"\x00" + struct.pack(">I", schema_id) + body


def good_fields(sensor_id: str, now: datetime) -> dict[str, Any]:
    """A reading every ledger takes: 12.5 kWh from the German grid, an hour ago."""
    start = (now - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    return {
        "sensor_id": sensor_id,
        "facility_id": "malformed-plant",
        "country_iso2": "DE",
        "region": None,
        "energy_kwh": "12.5",
        "energy_source": "grid",
        "grid_carbon_intensity_gco2_kwh": "385.2",
        "timestamp": micros(start),
        "interval_seconds": 900,
        "scope": 2,
        "revision": 0,
    }


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


# One field of a good reading is replaced; the rest of the record is impeccable.
FIELD_FAULTS: tuple[tuple[str, str, str, Any], ...] = (
    ("quantity_nan", "not_finite", "energy_kwh", "NaN"),
    ("quantity_infinite", "not_finite", "energy_kwh", "Infinity"),
    ("quantity_negative_infinite", "not_finite", "energy_kwh", "-inf"),
    ("quantity_negative", "negative_quantity", "energy_kwh", "-0.001"),
    ("quantity_word", "not_a_number", "energy_kwh", "twelve"),
    ("quantity_empty", "not_a_number", "energy_kwh", ""),
    ("quantity_decimal_comma", "not_a_number", "energy_kwh", "1247,3"),
    ("quantity_with_thousands", "not_a_number", "energy_kwh", "1,247.3"),
    ("quantity_with_blank", "not_a_number", "energy_kwh", " 12.5"),
    ("quantity_hexadecimal", "not_a_number", "energy_kwh", "0x1F"),
    ("quantity_other_digits", "not_a_number", "energy_kwh", "١٢٣"),
    ("quantity_nul", "not_a_number", "energy_kwh", "12\x005"),
    ("quantity_too_large", "out_of_range", "energy_kwh", "1e18"),
    ("quantity_exponent_bomb", "out_of_range", "energy_kwh", "1e999999"),
    ("quantity_too_precise", "too_precise", "energy_kwh", "0.0000000000000000000000001"),
    ("intensity_nan", "not_finite", "grid_carbon_intensity_gco2_kwh", "nan"),
    ("intensity_negative", "negative_quantity", "grid_carbon_intensity_gco2_kwh", "-385.2"),
    ("intensity_word", "not_a_number", "grid_carbon_intensity_gco2_kwh", "n/a"),
    ("country_unknown", "unknown_country", "country_iso2", "QQ"),
    ("country_lookalike", "unknown_country", "country_iso2", "UK"),
    ("country_lower_case", "unknown_country", "country_iso2", "de"),
    ("country_three_letters", "unknown_country", "country_iso2", "DEU"),
    ("country_empty", "unknown_country", "country_iso2", ""),
    ("country_without_factor", "factor_missing", "country_iso2", "AQ"),
    ("region_elsewhere", "region_country_mismatch", "region", "US-CA"),
    ("region_malformed", "invalid_region", "region", "Bavaria"),
    ("region_empty", "invalid_region", "region", ""),
    ("source_unknown", "unknown_energy_source", "energy_source", "dilithium"),
    ("source_upper_case", "unknown_energy_source", "energy_source", "GRID"),
    ("source_empty", "unknown_energy_source", "energy_source", ""),
    ("time_zero", "timestamp_out_of_range", "timestamp", 0),
    ("time_in_milliseconds", "timestamp_out_of_range", "timestamp", 1_700_000_000_000),
    ("time_negative", "timestamp_out_of_range", "timestamp", -1),
    ("time_largest", "timestamp_out_of_range", "timestamp", 2**63 - 1),
    ("time_smallest", "timestamp_out_of_range", "timestamp", -(2**63)),
    ("interval_negative", "interval_out_of_range", "interval_seconds", -900),
    ("interval_too_long", "interval_out_of_range", "interval_seconds", 31 * 86_400 + 1),
    ("scope_three", "scope_not_applicable", "scope", 3),
    ("scope_unheard_of", "scope_not_applicable", "scope", 7),
    ("scope_one_from_the_grid", "scope_not_applicable", "scope", 1),
    ("revision_negative", "revision_out_of_range", "revision", -1),
    ("sensor_empty", "invalid_identifier", "sensor_id", ""),
    ("sensor_with_separator", "invalid_identifier", "sensor_id", "meter#1"),
    ("sensor_with_line_break", "invalid_identifier", "sensor_id", "meter\n1"),
    ("sensor_nul", "invalid_identifier", "sensor_id", "meter\x001"),
    ("sensor_too_long", "invalid_identifier", "sensor_id", "m" * 129),
    ("sensor_other_script", "invalid_identifier", "sensor_id", "счётчик-1"),
    ("facility_with_blank", "invalid_identifier", "facility_id", "plant 1"),
)

Maker = Callable[[dict[str, Any], int, datetime], bytes | None]


def _body(fields: dict[str, Any]) -> bytes:
    return body_bytes(fields)


def _future(fields: dict[str, Any], schema_id: int, now: datetime) -> bytes:
    late = micros(now + timedelta(days=3))
    return framed(schema_id, _body(fields | {"timestamp": late}))


def _too_old_for_any_factor(fields: dict[str, Any], schema_id: int, now: datetime) -> bytes:
    long_ago = micros(datetime(2003, 3, 3, tzinfo=UTC))
    return framed(schema_id, _body(fields | {"timestamp": long_ago}))


def _replaced(fields: dict[str, Any], name: str, raw: bytes) -> bytes:
    """The body with the encoded bytes of one text field replaced by `raw`."""
    marker = "MARKER-OF-A-FIELD"
    whole = _body(fields | {name: marker})
    return whole.replace(text_bytes(marker), raw, 1)


def _json(fields: dict[str, Any], schema_id: int, now: datetime) -> bytes:
    return json.dumps(fields).encode()


# What no encoder would write. The code after each kind is the only right verdict on it.
BYTE_FAULTS: tuple[tuple[str, str, Maker], ...] = (
    ("value_null", "empty_value", lambda f, i, n: None),
    ("value_empty", "empty_value", lambda f, i, n: b""),
    ("magic_byte_wrong", "wrong_magic_byte", lambda f, i, n: b"\x01" + framed(i, _body(f))[1:]),
    ("magic_byte_missing", "wrong_magic_byte", lambda f, i, n: b"\x7f" + _body(f)),
    ("json_instead_of_avro", "wrong_magic_byte", _json),
    ("schema_id_unknown", "unknown_schema_id", lambda f, i, n: framed(UNKNOWN_SCHEMA_ID, _body(f))),
    ("frame_cut", "truncated_avro", lambda f, i, n: b"\x00\x00\x00"),
    ("body_missing", "truncated_avro", lambda f, i, n: framed(i, b"")),
    ("body_cut_by_one", "truncated_avro", lambda f, i, n: framed(i, _body(f)[:-1])),
    (
        "body_cut_in_half",
        "truncated_avro",
        lambda f, i, n: framed(i, _body(f)[:40]),
    ),
    (
        "text_longer_than_the_rest",
        "truncated_avro",
        lambda f, i, n: framed(i, long_bytes(10_000) + b"meter"),
    ),
    ("one_byte_too_many", "trailing_bytes", lambda f, i, n: framed(i, _body(f) + b"\x00")),
    ("record_twice", "trailing_bytes", lambda f, i, n: framed(i, _body(f) * 2)),
    (
        "text_latin1",
        "bad_utf8",
        lambda f, i, n: framed(i, _replaced(f, "facility_id", text_bytes(b"werk-m\xfcnchen"))),
    ),
    (
        "text_surrogate",
        "bad_utf8",
        lambda f, i, n: framed(i, _replaced(f, "energy_source", text_bytes(b"\xed\xa0\x80"))),
    ),
    (
        "text_of_negative_length",
        # A reader takes it for all that is left, and then misses the next field.
        "truncated_avro",
        lambda f, i, n: framed(i, _replaced(f, "facility_id", long_bytes(-5) + b"plant")),
    ),
    (
        "union_branch_unheard_of",
        "malformed_avro",
        lambda f, i, n: framed(
            i, _body(f).replace(optional_bytes("385.2"), long_bytes(2) + text_bytes("385.2"), 1)
        ),
    ),
    (
        "value_giant",
        "value_too_large",
        lambda f, i, n: framed(i, _body(f | {"facility_id": "p" * 70_000})),
    ),
    ("time_in_the_future", "timestamp_out_of_range", _future),
    ("time_before_any_factor", "factor_vintage_gap", _too_old_for_any_factor),
    (
        "quantity_as_double",
        # What a producer with another schema writes: 12.5 as an IEEE double where text is due. Its
        # zeros read as empty texts, a null and numbers, and the real fields are left over.
        "trailing_bytes",
        lambda f, i, n: framed(i, _replaced(f, "energy_kwh", struct.pack("<d", 12.5))),
    ),
)


def _field_maker(name: str, value: Any) -> Maker:
    return lambda fields, schema_id, now: framed(schema_id, _body(fields | {name: value}))


def kinds() -> list[tuple[str, str, Maker]]:
    """Every kind: its name, the reason code due, and what makes its value from good fields."""
    of_fields = [
        (kind, code, _field_maker(name, value)) for kind, code, name, value in FIELD_FAULTS
    ]
    return [*BYTE_FAULTS, *of_fields]


def malformed_records(
    count: int, schema_id: int, now: datetime, seed: int = 0
) -> Iterator[Malformed]:
    """`count` records, every kind in turn; `seed` decides their order and sensor names."""
    chance = Random(seed)
    table = kinds()
    chance.shuffle(table)
    for number in range(count):
        kind, code, make = table[number % len(table)]
        sensor_id = f"malformed-{kind}-{seed % 10**6}-{number}"
        fields = good_fields(sensor_id, now)
        key = None if kind == "value_null" else sensor_id.encode()
        yield Malformed(kind=kind, reason_code=code, key=key, value=make(fields, schema_id, now))
