"""The micro-batch driver: exactly the offset ranges of a plan, read by Spark and committed part by
part.

Belongs here: what to read and what to expect back. Does not: planning (sensors), the work of a part
(spark.sink).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.settings import load as load_settings
from carbon_ledger.version import code_version
from spark.decode import WriterSchema, spark_decoded
from spark.kafka_options import kafka_options

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from carbon_ledger.store.manifest import BatchPlan
    from spark.sink import Job, PartResult


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What became of a batch, part by part. Counts in records; `lines` in lines."""

    parts: tuple[PartResult, ...]

    def total(self, name: str) -> int:
        """Sum of one of the parts' counts: records_read, ledgered, duplicate, …"""
        return sum(getattr(part, name) for part in self.parts)

    @property
    def local_dates(self) -> tuple[str, ...]:
        """Every local date (ISO) a part posted to."""
        return tuple(sorted({day for part in self.parts for day in part.local_dates}))


def run_batch(
    spark: SparkSession, database_url: str, plan: BatchPlan, settings: Settings | None = None
) -> BatchResult:
    """Reads, judges and commits every part of `plan`; parts that are committed already are left
    alone.

    Raises BrokenInvariant (`fenced`, `gap`, `data_loss`) or Unavailable; parts committed before
    that stay.
    """
    from spark.sink import commit_parts

    settings = settings or load_settings()
    job = make_job(database_url, plan, settings)
    if job.current is not None:
        remember(job, job.current)
    frame = spark_decoded(read_ranges(spark, plan, settings), current_id(job), job.reader_text)
    parts = _collect(frame, partial(commit_parts, job))
    return BatchResult(parts=tuple(_with_empty_parts(job, plan, parts)))


def make_job(
    database_url: str, plan: BatchPlan, settings: Settings, factor_release: str | None = None
) -> Job:
    """What the tasks are told; `factor_release` in place of the plan's, if given."""
    from pipeline.serialization import schema_text
    from spark.emissions import STREAM as COLUMN_WISE_STREAM
    from spark.sink import Job

    text = schema_text(plan.stream)
    return Job(
        database_url=database_url,
        archive_url=settings.archive_url,
        batch_id=plan.batch_id,
        attempt=plan.attempt,
        stream=plan.stream,
        factor_release=factor_release or plan.factor_release,
        code_version=code_version(),
        default_organization=settings["CARBON_DEFAULT_ORGANIZATION"],
        max_vintage_gap_years=int(settings["CARBON_MAX_VINTAGE_GAP_YEARS"]),
        gwp_set=settings["CARBON_GWP_SET"],
        subject=f"{plan.topic}-value",
        reader_text=text,
        current=current_schema(plan.topic, plan.stream, text, settings)
        if plan.stream == COLUMN_WISE_STREAM
        else None,
    )


def current_schema(
    topic: str, stream: str, reader_text: str, settings: Settings
) -> WriterSchema | None:
    """The registered writer schema that is the reader's own, or None if the registry cannot say."""
    from pipeline.serialization import Registry, ensure_schema

    registry = Registry(settings)
    try:
        schema_id = ensure_schema(registry, topic, stream)
        text, sha256 = registry.writer_schema(schema_id)
    except Unavailable:
        # Without it every record takes the record-wise lane, which asks by id and says what is
        # wrong.
        return None
    if json.loads(text) != json.loads(reader_text):
        return None
    return WriterSchema(schema_id=schema_id, text=text, sha256=sha256)


def remember(job: Job, schema: WriterSchema) -> None:
    """Keeps the schema's text in PostgreSQL: archived records must be readable without the
    registry.
    """
    from carbon_ledger.store.connect import connect
    from carbon_ledger.store.schemas import remember_schema

    with closing(connect(job.database_url, "carbon-schemas", autocommit=True)) as connection:
        remember_schema(connection, job.subject, schema.schema_id, schema.text)


def current_id(job: Job) -> int | None:
    """The schema id that Spark decodes itself, or None."""
    return None if job.current is None else job.current.schema_id


def read_ranges(spark: SparkSession, plan: BatchPlan, settings: Settings) -> DataFrame:
    """Kafka records of exactly the plan's ranges, one Spark task per Kafka partition."""
    start: dict[str, dict[str, int]] = {}
    end: dict[str, dict[str, int]] = {}
    for part in plan.ranges:
        start.setdefault(part.topic, {})[str(part.kafka_partition)] = part.start_offset
        end.setdefault(part.topic, {})[str(part.kafka_partition)] = part.end_offset
    assign = {topic: sorted(map(int, partitions)) for topic, partitions in start.items()}
    return (
        spark.read.format("kafka")
        .options(**kafka_options(settings))
        .option("assign", json.dumps(assign))
        .option("startingOffsets", json.dumps(start))
        .option("endingOffsets", json.dumps(end))
        .option("includeHeaders", "true")
        .option("failOnDataLoss", "true")
        # A consumer asks for the topic's ends behind a fetch that waits for records beyond the
        # range; with Kafka's own half second, each task of every batch stood still that long.
        .option("kafka.fetch.max.wait.ms", "10")
        .option("kafka.request.timeout.ms", "10000")
        .option("kafka.default.api.timeout.ms", "15000")
        .load()
    )


def _collect(
    frame: DataFrame, work: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
) -> list[PartResult]:
    from pyspark.errors import PySparkException

    from spark.sink import RESULT_SCHEMA, PartResult

    try:
        rows = frame.mapInArrow(work, RESULT_SCHEMA).collect()
    except PySparkException as error:
        raise translated(error) from error
    results = []
    for row in rows:
        fields: dict[str, Any] = json.loads(row["result"])
        fields["local_dates"] = tuple(fields["local_dates"])
        results.append(PartResult(**fields))
    return results


def translated(error: Exception) -> Exception:
    """A failure inside Spark under the name the rest of the project knows it by."""
    text = str(error)
    for code in ("fenced", "gap"):
        if f"BrokenInvariant: {code}:" in text:
            return BrokenInvariant(code, _line_with(text, f"BrokenInvariant: {code}:"))
    if "data may have been lost" in text.lower() or "KAFKA_DATA_LOSS" in text:
        return BrokenInvariant("data_loss", text.splitlines()[0])
    if "Unavailable:" in text:
        return Unavailable("service_unavailable", _line_with(text, "Unavailable:"))
    return Unavailable("spark_failed", f"Spark could not finish the batch: {text[:2000]}")


def _line_with(text: str, mark: str) -> str:
    return next(line.strip() for line in text.splitlines() if mark in line)


def _with_empty_parts(job: Job, plan: BatchPlan, done: list[PartResult]) -> Iterator[PartResult]:
    """Parts without any record (only transaction markers) never reach a task; they are closed
    here.
    """
    from spark.sink import commit_part

    yield from done
    seen = {(part.topic, part.kafka_partition) for part in done}
    for part in plan.ranges:
        if (part.topic, part.kafka_partition) not in seen:
            yield commit_part(job, part.topic, part.kafka_partition, iter(()))
