"""The event in a Kafka value that this version of the project wrote.

Belongs here: taking frame and Avro off. Does not: values of other writers (spark.decode).
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import fastavro

from carbon_ledger.stream_events import event_of
from pipeline.serialization import FRAME, schema_text


def event_in(value: bytes, stream: str) -> Any:
    """The event, checked as the ledger would."""
    schema = fastavro.parse_schema(json.loads(schema_text(stream)))
    fields = fastavro.schemaless_reader(io.BytesIO(value[FRAME.size :]), schema)
    return event_of(stream, fields, datetime.now(UTC))
