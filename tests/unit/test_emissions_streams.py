"""Events of all streams through the micro-batch's judgement: the pure calculator's own lines."""

from __future__ import annotations

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

RULES = Rules(book=INVENTORY.book, register=REGISTER, code_version="t")


def judged(stream: str, value: bytes) -> Judged:
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
    )
    batch = pa.RecordBatch.from_pydict(
        {
            "topic": [part.topic],
            "partition": pa.array([0], pa.int32()),
            "offset": pa.array([0], pa.int64()),
            "timestamp": pa.array([NOW], pa.timestamp("us", tz="UTC")),
            "key": pa.array([b"k"], pa.binary()),
            "value": pa.array([value], pa.binary()),
            "headers": pa.array([None], HEADERS),
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
