"""Spark's column-wise lane and the record-wise rules give the same lines, to the last digit."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbon_ledger.entries import CANONICAL, content_sha256
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.places import Rules
from carbon_ledger.reference.records import Site
from carbon_ledger.reference.register import Register
from carbon_ledger.store.append import ROW
from factor_seeds.load import shipped_book
from pipeline.serialization import schema_text, sha256_of
from spark.archive import HEADERS
from spark.decode import WriterSchema, parsed_schema
from spark.emissions import Judged, Part, judge

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXT = schema_text("iot_energy")
CURRENT = WriterSchema(schema_id=7, text=TEXT, sha256=sha256_of(TEXT))
BOOK = shipped_book()
SITES = (
    Site(
        facility_id="PLANT-KR",
        organization_id="acme",
        country_iso2="KR",
        region=None,
        time_zone="Asia/Seoul",
        name="",
    ),
    Site(
        facility_id="PLANT-US",
        organization_id="acme",
        country_iso2="US",
        region="US-CA",
        time_zone="America/Los_Angeles",
        name="",
    ),
    Site(
        facility_id="PLANT-MOVED", organization_id="old", country_iso2="KR", time_zone="Asia/Seoul"
    ),
    Site(
        facility_id="PLANT-MOVED",
        organization_id="new",
        country_iso2="KR",
        time_zone="Asia/Seoul",
        valid_from=date(2018, 1, 1),
    ),
)
RULES = Rules(
    book=BOOK,
    register=Register(records=SITES),
    code_version="t",
)
PLAIN: dict[str, Any] = {
    "sensor_id": "M1",
    "facility_id": "PLANT-KR",
    "country_iso2": "KR",
    "region": None,
    "energy_kwh": "3.17",
    "energy_source": "grid",
    "grid_carbon_intensity_gco2_kwh": None,
    "timestamp": 1514732400000000,
    "interval_seconds": 900,
    "scope": 2,
    "revision": 0,
}


def framed(fields: dict[str, Any], schema_id: int = 7, tail: bytes = b"") -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, parsed_schema(TEXT), fields)
    return bytes([0]) + schema_id.to_bytes(4, "big") + body.getvalue() + tail


def record_batch(values: list[bytes | None], with_columns: bool) -> pa.RecordBatch:
    """What the sink is given: with `d` decoded as Spark's from_avro decodes, or without."""
    count = len(values)
    columns = {
        "topic": pa.array(["raw.iot.energy"] * count),
        "partition": pa.array([0] * count, pa.int32()),
        "offset": pa.array(range(count), pa.int64()),
        "timestamp": pa.array([NOW] * count, pa.timestamp("us", tz="UTC")),
        "key": pa.array([b"M1"] * count, pa.binary()),
        "value": pa.array(values, pa.binary()),
        "headers": pa.array([None] * count, HEADERS),
    }
    if with_columns:
        types = {"timestamp": pa.int64(), "interval_seconds": pa.int32(), "scope": pa.int32()}
        types["revision"] = pa.int32()
        struct = pa.struct([(name, types.get(name, pa.string())) for name in PLAIN])
        columns["d"] = pa.array([lenient(value) for value in values], struct)
    return pa.RecordBatch.from_pydict(columns)


def lenient(value: bytes | None) -> dict[str, Any] | None:
    """Decodes without looking at what follows the record, as Spark does."""
    if value is None or value[:5] != bytes([0, 0, 0, 0, 7]):
        return None
    try:
        found = fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed_schema(TEXT), None)
    except (EOFError, ValueError, IndexError, OverflowError, TypeError):
        return None
    small = [found[name] for name in ("interval_seconds", "scope", "revision")]
    return found if all(-(2**31) <= number < 2**31 for number in small) else None


def judged(values: list[bytes | None], with_columns: bool) -> Judged:
    def writer_schema(schema_id: int) -> WriterSchema:
        if schema_id != 7:
            raise RejectedRecord("unknown_schema_id", f"schema id {schema_id} is unknown")
        return CURRENT

    part = Part(
        rules=RULES,
        topic="raw.iot.energy",
        topic_incarnation=0,
        kafka_partition=0,
        batch_id=1,
        recorded_at=NOW,
        now=NOW,
        current=CURRENT if with_columns else None,
        reader_text=TEXT,
        writer_schema=writer_schema,
    )
    result = judge(record_batch(values, with_columns), part)
    keys = list(part.series)
    ordered = result.posted.sort_by(ROW)
    series = [keys[code] for code in ordered.column("_series").to_pylist()]
    posted = ordered.set_column(
        ordered.schema.get_field_index("_series"),
        "_series",
        pa.array(map(str, series), pa.string()),
    )
    return Judged(posted=posted, corrections=result.corrections, refusals=result.refusals)


def assert_same(values: list[bytes | None]) -> tuple[Judged, Judged]:
    columns, records = judged(values, True), judged(values, False)
    assert (
        columns.posted.select(records.posted.column_names).to_pylist() == records.posted.to_pylist()
    )
    assert [(r.row, r.fate, r.reason.code) for r in columns.refusals] == [
        (r.row, r.fate, r.reason.code) for r in records.refusals
    ]
    assert columns.corrections == records.corrections
    return columns, records


def test_a_plain_reading_takes_the_column_lane_and_gives_the_published_figure() -> None:
    columns, _ = assert_same([framed(PLAIN)])
    row = columns.posted.to_pylist()[0]
    assert row["kgco2e"] == f"{Decimal('3.17') * Decimal('0.49697'):.12f}"
    assert row["factor_id"] == "grid:KR:2019:lifecycle:ember_owid_2026"
    assert row["vintage_gap_years"] == "1"
    assert row["flags"] == "boundary_substitute,gwp_set_embedded,vintage_gap"
    assert (row["local_date"], row["activity_month"]) == ("2018-01-01", "2018-01-01")
    assert row["event_id"] == "iot:M1@2017-12-31T15:00:00Z#0"


def test_a_reading_belongs_to_the_site_of_its_own_local_date() -> None:
    # 2018 begins in Seoul at 15:00 UTC on the last day of 2017.
    turn = int(datetime(2017, 12, 31, 15, tzinfo=UTC).timestamp()) * 1_000_000
    hours = [-72, -24, -16, -1, 0, 1, 8, 10, 24, 72]
    values = [
        framed({**PLAIN, "facility_id": "PLANT-MOVED", "timestamp": turn + hour * 3_600_000_000})
        for hour in hours
    ]
    columns, _ = assert_same(values)
    found = [row["organization_id"] for row in columns.posted.sort_by(ROW).to_pylist()]
    assert found == ["old" if hour < 0 else "new" for hour in hours]


def test_gases_are_multiplied_where_the_factor_publishes_them() -> None:
    fields = {**PLAIN, "facility_id": "X", "country_iso2": "GB", "timestamp": 1700000000000000}
    row = assert_same([framed(fields)])[0].posted.to_pylist()[0]
    assert row["gas_split"] == "available"
    assert row["kg_co2_fossil"] is not None


texts = st.text(max_size=6)
kwh = st.one_of(
    st.decimals(0, 10**6, places=3).map(str),
    st.decimals(0, 10**17, places=12).map(lambda d: f"{d:f}"),
    st.sampled_from(["0", "0.0", "1e3", "-1", "NaN", "Infinity", "", "1,5", "007", "1.", "9" * 19]),
    texts,
)
fields = st.fixed_dictionaries(
    {
        "sensor_id": st.one_of(st.sampled_from(["M1", "M2", "a b", ""]), texts),
        "facility_id": st.sampled_from(["PLANT-KR", "PLANT-US", "OTHER", "x#y"]),
        "country_iso2": st.sampled_from(["KR", "US", "DE", "de", "XX", "AQ", "GB"]),
        "region": st.sampled_from([None, "US-CA", "US-ZZ", "KR-11", "EGRID-CAMX", "nowhere"]),
        "energy_kwh": kwh,
        "energy_source": st.sampled_from(
            ["grid", "grid_mix", "solar", "gas", "coal", "plasma", ""]
        ),
        "grid_carbon_intensity_gco2_kwh": st.sampled_from([None, "385.2", "0", "-1", "x", "1E+2"]),
        "timestamp": st.one_of(
            st.sampled_from([0, -1, 2**62, 1514732400000000, 1795521600000000, 1795608000000001]),
            st.integers(946684800, 1795600000).map(lambda s: s * 1_000_000),
            st.integers(946684800000000, 1795608000000000),
        ),
        "interval_seconds": st.sampled_from([0, 300, 900, -1, 10**8]),
        "scope": st.sampled_from([1, 2, 2, 2, 3, 0]),
        "revision": st.sampled_from([0, 0, 0, 1, -1]),
    }
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(fields, st.sampled_from([b"", b"", b"", b"x"])), min_size=1, max_size=12))
def test_both_lanes_agree_on_anything(items: list[tuple[dict[str, Any], bytes]]) -> None:
    columns, _ = assert_same([framed(item, tail=tail) for item, tail in items])
    fates = columns.posted.num_rows + len(columns.corrections) + len(columns.refusals)
    assert fates == len(items)


@settings(max_examples=100)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=60)), min_size=1, max_size=8))
def test_both_lanes_agree_on_any_bytes(values: list[bytes | None]) -> None:
    assert_same(values)


@settings(max_examples=150)
@given(st.integers(0, 200), st.integers(1, 255))
def test_both_lanes_agree_on_a_damaged_record(position: int, change: int) -> None:
    value = bytearray(framed(PLAIN))
    value[position % len(value)] ^= change
    assert_same([bytes(value), framed(PLAIN)])


def test_the_content_hash_is_the_one_of_the_canonical_bytes() -> None:
    """The column-wise join and carbon_ledger.entries.canonical_bytes hash the same."""
    value = framed({**PLAIN, "revision": 1})
    correction = judged([value], True).corrections[0]
    assert correction.lines[0].content_sha256 == content_sha256(correction.lines[0])
    posted = assert_same([framed(PLAIN)])[0].posted
    assert len(posted.column("content_sha256")[0].as_py()) == 64
    assert [name for name, _ in CANONICAL if name not in posted.column_names] == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "empty_value"),
        (b"", "empty_value"),
        (b"\x01\x00\x00\x00\x07x", "wrong_magic_byte"),
        (b"\x00\x00", "truncated_avro"),
        (framed(PLAIN)[:-3], "truncated_avro"),
        (framed(PLAIN, tail=b"!"), "trailing_bytes"),
        (framed(PLAIN, schema_id=99), "unknown_schema_id"),
        (framed(PLAIN).replace(b"KR", b"\xff\xfe", 1), "bad_utf8"),
        (bytes(70_000), "value_too_large"),
    ],
)
def test_damage_is_named(value: bytes | None, code: str) -> None:
    columns, _ = assert_same([value, framed(PLAIN)])
    assert [refusal.reason.code for refusal in columns.refusals] == [code]
    assert columns.posted.num_rows == 1
