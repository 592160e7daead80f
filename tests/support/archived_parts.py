"""Parts of batches committed and archived as in production, without Kafka or a JVM.

Belongs here: a ledger with an archive, and sending plain readings of electricity, or events of
another stream, into it through the sink itself. Does not: what a test makes of them.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa

from carbon_ledger import settings as settings_module
from carbon_ledger.factor_book.rows import FactorRelease
from carbon_ledger.store import factors, gaps, manifest
from carbon_ledger.store.schemas import remember_schema
from carbon_ledger.streams import find
from carbon_ledger.version import code_version
from pipeline.serialization import schema_text
from pipeline.topic_sight import TopicSight
from spark.decode import WriterSchema, parsed_schema, without_logical_types
from spark.sink import Job, PartResult, commit_part
from tests.support.event_cases import framed
from tests.support.postgres import LedgerDatabase, scratch_database

SCHEMA_ID = 7
STREAM = "iot_energy"
READING: dict[str, Any] = {
    "sensor_id": "M1",
    "facility_id": "F1",
    "country_iso2": "DE",
    "region": None,
    "energy_kwh": "12.50",
    "energy_source": "grid",
    "grid_carbon_intensity_gco2_kwh": None,
    "interval_seconds": 900,
    "scope": 2,
    "revision": 0,
}
_ARROW = {"string": pa.string(), "long": pa.int64(), "int": pa.int32(), "boolean": pa.bool_()}


def micros(moment: datetime) -> int:
    """Microseconds of a whole second."""
    return int(moment.timestamp()) * 1_000_000


def reading(at: datetime, **changes: Any) -> dict[str, Any]:
    """The fields of a plausible reading that begins at `at`."""
    return {**READING, "timestamp": micros(at), **changes}


@dataclass(kw_only=True)
class ArchivedLedger:
    """A scratch ledger, its archive and one topic with two partitions, of readings by default."""

    database: LedgerDatabase
    settings: settings_module.Settings
    topic: str
    stream: str = STREAM
    highs: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})

    @property
    def archive_url(self) -> str:
        return self.settings.archive_url

    def writer(self) -> Any:
        """The writer's connection, in autocommit mode, as restatements want it."""
        return self.database.writer(autocommit=True)

    def store(self, release: FactorRelease) -> str:
        """Stores a factor release; its id."""
        with closing(self.writer()) as conn:
            factors.store_release(conn, release)
        return release.release_id

    def send(
        self, readings: Sequence[dict[str, Any]], release_id: str, partition: int = 0
    ) -> PartResult:
        """One batch with these readings, planned, judged, archived and committed."""
        batch = record_batch(self.topic, partition, self.highs[partition], readings)
        return self._take(batch, release_id, partition)

    def send_events(
        self, events: Sequence[dict[str, Any]], release_id: str, partition: int = 0
    ) -> PartResult:
        """The same with events of the ledger's stream, as a producer is given them."""
        values = [framed(self.stream, fields, SCHEMA_ID) for fields in events]
        batch = framed_batch(self.topic, partition, self.highs[partition], values)
        return self._take(batch, release_id, partition)

    def _take(self, batch: pa.RecordBatch, release_id: str, partition: int) -> PartResult:
        self.highs[partition] += batch.num_rows
        stream = replace(find(self.stream), topic=self.topic, max_wait_seconds=0)
        with closing(self.writer()) as conn:
            offsets = {number: (0, high) for number, high in self.highs.items()}
            gaps.observe_topic(conn, self.stream, TopicSight(topic_id="T", offsets=offsets))
            plan = manifest.plan_batch(
                conn,
                stream,
                dict(self.highs),
                factor_release=release_id,
                arrival_partition="2026-01-01-00:00",
            )
            assert plan is not None
            plan = manifest.begin_attempt(conn, plan.batch_id, plan.attempt, "test")
            job = self._job(plan, release_id)
            result = commit_part(job, self.topic, partition, iter([batch]))
            manifest.finish_batch(conn, plan.batch_id, plan.attempt)
        return result

    def _job(self, plan: manifest.BatchPlan, release_id: str) -> Job:
        text = schema_text(self.stream)
        return Job(
            database_url=self.database.writer_url,
            archive_url=self.archive_url,
            batch_id=plan.batch_id,
            attempt=plan.attempt,
            stream=self.stream,
            factor_release=release_id,
            code_version=code_version(),
            default_organization="default",
            max_vintage_gap_years=5,
            gwp_set=self.settings["CARBON_GWP_SET"],
            subject=f"{self.topic}-value",
            reader_text=text,
            current=writer_schema(self.stream),
        )

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a statement gives to somebody who sees everything."""
        with closing(self.database.auditor()) as conn:
            return conn.execute(statement, parameters).fetchall()


def writer_schema(stream: str = STREAM) -> WriterSchema:
    """The schema events are framed with here."""
    text = schema_text(stream)
    return WriterSchema(
        schema_id=SCHEMA_ID, text=text, sha256=hashlib.sha256(text.encode()).digest()
    )


def record_batch(
    topic: str, partition: int, start: int, readings: Sequence[dict[str, Any]]
) -> pa.RecordBatch:
    """The readings as records of Kafka with what Spark decodes beside them."""
    schema = parsed_schema(schema_text(STREAM))
    plain = without_logical_types(json.loads(schema_text(STREAM)))
    frame = bytes([0]) + SCHEMA_ID.to_bytes(4, "big")
    values = []
    for one in readings:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, one)
        values.append(frame + body.getvalue())
    columns = {
        item["name"]: pa.array([one.get(item["name"]) for one in readings], _arrow(item["type"]))
        for item in plain["fields"]
    }
    keys = [one["sensor_id"].encode() for one in readings]
    batch = framed_batch(topic, partition, start, values, keys)
    return batch.append_column(
        "d", pa.StructArray.from_arrays(list(columns.values()), list(columns))
    )


def framed_batch(
    topic: str,
    partition: int,
    start: int,
    values: Sequence[bytes],
    keys: Sequence[bytes] | None = None,
) -> pa.RecordBatch:
    """Framed events as records of Kafka, without keys unless they are given."""
    count = len(values)
    now = datetime.now(UTC)
    return pa.RecordBatch.from_pydict(
        {
            "topic": pa.array([topic] * count),
            "partition": pa.array([partition] * count, pa.int32()),
            "offset": pa.array(range(start, start + count), pa.int64()),
            "timestamp": pa.array([now] * count, pa.timestamp("us", tz="UTC")),
            "key": pa.array(keys or [None] * count, pa.binary()),
            "value": pa.array(values, pa.binary()),
            "headers": pa.nulls(count, pa.string()),
        }
    )


def _arrow(kind: Any) -> pa.DataType:
    if isinstance(kind, list):
        kind = next(one for one in kind if one != "null")
    return _ARROW[kind if isinstance(kind, str) else kind["type"]]


@contextmanager
def archived_ledger(
    url_of: Callable[[str, str], str], folder: Path, stream: str = STREAM, **environment: str
) -> Iterator[ArchivedLedger]:
    """A fresh ledger of a stream with its archive below `folder`; `environment` are settings of its
    own.
    """
    with scratch_database(url_of) as database:
        values = {
            **settings_module.load().values,
            "CARBON_DATABASE_WRITER_URL": database.writer_url,
            "CARBON_DATABASE_READER_URL": database.reader_url,
            "CARBON_DATABASE_AUDITOR_URL": database.auditor_url,
            "CARBON_ARCHIVE_URL": (folder / "archive").absolute().as_uri(),
            "CARBON_GWP_SET": "AR6",
            "CARBON_MAX_VINTAGE_GAP_YEARS": "5",
            **environment,
        }
        found = ArchivedLedger(
            database=database,
            settings=settings_module.Settings(values=values),
            topic=f"test.{stream}.{uuid.uuid4().hex[:8]}",
            stream=stream,
        )
        with closing(found.writer()) as conn:
            manifest.ensure_stream(conn, replace(find(stream), topic=found.topic))
            text = writer_schema(stream).text
            remember_schema(conn, f"{found.topic}-value", SCHEMA_ID, text)
        yield found
