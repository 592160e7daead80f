"""Broken readings of several fault classes, and how each class is dealt with.

Belongs here: the table and the edits. Does not: the ledger they go through (tests.support.letters).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from carbon_ledger.factor_book.rows import FactorRelease, make_release, sealed
from tests.support.malformed import body_bytes, framed, micros

START = datetime(2024, 5, 6, tzinfo=UTC)
# Parts of a hundred: what share of the records has which fault.
SHARES = {
    "country_alias": 28,
    "negative": 14,
    "factor_missing": 14,
    "cut": 10,
    "json": 10,
    "conflict": 6,
    "poison": 8,
    "out_of_time": 10,
}
CODES = {
    "country_alias": "unknown_country",
    "negative": "negative_quantity",
    "factor_missing": "factor_missing",
    "cut": "truncated_avro",
    "json": "wrong_magic_byte",
    "conflict": "identity_conflict",
    "poison": "not_a_number",
    "out_of_time": "timestamp_out_of_range",
}
# One edit for all letters of the class; {} is the same bytes, judged by other factors.
EDITS: dict[str, dict[str, str]] = {
    "country_alias": {"country_iso2": "GB"},
    "negative": {"energy_kwh": "12.5"},
    "factor_missing": {},
    "json": {"scope": "2"},
    "conflict": {"revision": "1"},
}
DISCARDED = ("out_of_time", "cut")


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One record, its fault class, and the sensor that only it speaks of."""

    fault: str
    sensor_id: str
    key: bytes
    value: bytes


def fields_of(fault: str, number: int) -> dict[str, Any]:
    """A good reading with the fault of its class."""
    fields: dict[str, Any] = {
        "sensor_id": f"{fault}-{number}",
        "facility_id": "letters-plant",
        "country_iso2": "DE",
        "region": None,
        "energy_kwh": "12.5",
        "energy_source": "grid",
        "grid_carbon_intensity_gco2_kwh": None,
        "timestamp": micros(START + timedelta(minutes=15 * (number % 90))),
        "interval_seconds": 900,
        "scope": 2,
        "revision": 0,
    }
    wrong = {
        "country_alias": {"country_iso2": "UK"},
        "negative": {"energy_kwh": "-3"},
        "factor_missing": {"country_iso2": "AQ"},
        "poison": {"energy_kwh": "twelve"},
        "out_of_time": {"timestamp": 0},
        "conflict": {"energy_kwh": "99"},
    }
    return fields | wrong.get(fault, {})


def broken(count: int, schema_id: int) -> Iterator[Broken]:
    """`count` records, a multiple of 50, classes by their shares and mixed."""
    for number in range(count):
        fault = next(_shared(number % 50))
        fields = fields_of(fault, number)
        value = framed(schema_id, body_bytes(fields))
        if fault == "cut":
            value = value[:-30]
        if fault == "json":
            value = json.dumps(fields).encode()
        sensor_id = fields["sensor_id"]
        yield Broken(fault=fault, sensor_id=sensor_id, key=sensor_id.encode(), value=value)


def _shared(place: int) -> Iterator[str]:
    for fault, share in SHARES.items():
        place -= share // 2
        if place < 0:
            yield fault


def good_before_conflict(records: list[Broken], schema_id: int) -> list[tuple[bytes, bytes]]:
    """What the conflicting records contradict: the same events with other content."""
    found = []
    for one in records:
        if one.fault == "conflict":
            number = int(one.sensor_id.rsplit("-", 1)[1])
            fields = fields_of("conflict", number) | {"energy_kwh": "1"}
            found.append((one.key, framed(schema_id, body_bytes(fields))))
    return found


def with_antarctica(release: FactorRelease) -> FactorRelease:
    """The factors as they are, and one for the country that had none."""
    (german, *_) = [
        row
        for row in release.rows
        if row.country_iso2 == "DE" and row.energy_source == "grid" and row.year == 2024
    ] or [row for row in release.rows if row.country_iso2 == "DE" and row.energy_source == "grid"]
    added = sealed(
        replace(german, factor_id=german.factor_id.replace("DE", "AQ"), country_iso2="AQ")
    )
    return make_release("with Antarctica", [*release.rows, added], release.index_rows)


def counts(records: list[Broken]) -> Counter[str]:
    """How many records have which fault."""
    return Counter(one.fault for one in records)
