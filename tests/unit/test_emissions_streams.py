"""Events of all streams through the micro-batch's judgement: the pure calculator's own lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from carbon_ledger.places import Rules
from pipeline.serialization import schema_text, sha256_of, widest_schema_text
from spark.archive import HEADERS
from spark.decode import WriterSchema
from spark.emissions import Judged, Part, judge
from tests.support.event_cases import (
    CASES,
    INVENTORY,
    NOW,
    REGISTER,
    framed,
    outcome,
    said_of_row,
    sendable,
)

TRIP = next(fields for stream, fields in sendable() if stream == "transport")
RULES = Rules(book=INVENTORY.book, register=REGISTER, code_version="t")


def judged(stream: str, *values: bytes, meanwhile: Callable[[], None] | None = None) -> Judged:
    text = widest_schema_text(stream)
    writer = WriterSchema(schema_id=7, text=text, sha256=sha256_of(text))
    part = Part(
        rules=RULES,
        stream=stream,
        topic=f"raw.{stream}",
        topic_incarnation=0,
        kafka_partition=0,
        batch_id=1,
        recorded_at=NOW,
        now=NOW,
        current=None,
        reader_text=schema_text(stream),
        writer_schema=lambda schema_id: writer,
        meanwhile=meanwhile or (lambda: None),
    )
    count = len(values)
    batch = pa.RecordBatch.from_pydict(
        {
            "topic": [part.topic] * count,
            "partition": pa.array([0] * count, pa.int32()),
            "offset": pa.array(range(count), pa.int64()),
            "timestamp": pa.array([NOW] * count, pa.timestamp("us", tz="UTC")),
            "key": pa.array([b"k"] * count, pa.binary()),
            "value": pa.array(values, pa.binary()),
            "headers": pa.array([None] * count, HEADERS),
        }
    )
    return judge(batch, part)


@pytest.mark.parametrize(("stream", "fields"), sendable())
def test_every_stream_posts_what_the_pure_calculator_says(
    stream: str, fields: dict[str, Any]
) -> None:
    result = judged(stream, framed(stream, fields, 7))
    expected = outcome(stream, fields)
    if isinstance(expected, str):
        assert [one.reason.code for one in result.refusals] == [expected]
        assert result.posted.num_rows == 0
        return
    assert not result.refusals
    assert [said_of_row(row) for row in result.posted.to_pylist()] == expected


def test_a_large_batch_lets_its_writer_say_that_it_is_at_work() -> None:
    said: list[int] = []
    values = [framed("transport", {**TRIP, "trip_id": f"T{number}"}, 7) for number in range(501)]
    result = judged("transport", *values, meanwhile=lambda: said.append(1))
    assert len({row["event_id"] for row in result.posted.to_pylist()}) == 501
    assert len(said) == 3, "at the first, the 251st and the 501st"


def test_the_table_has_cases_of_every_stream_refused_ones_among_them() -> None:
    streams = {stream for stream, _ in CASES}
    assert streams == {
        "iot_energy",
        "transport",
        "logistics",
        "procurement",
        "supplier",
        "activities",
    }
    refused = {stream for stream, fields in CASES if isinstance(outcome(stream, fields), str)}
    assert refused == streams
    assert len(sendable()) >= len(CASES) - 6


def test_a_plain_reading_under_the_wider_schema_is_the_same_entry() -> None:
    stream, fields = CASES[0]
    wide = judged(stream, framed(stream, fields, 7)).posted.to_pylist()[0]
    assert wide["formula_id"] == "S2-LB"
    assert wide["organization_id"] == "acme"
    assert wide["local_date"] == "2025-03-30"
