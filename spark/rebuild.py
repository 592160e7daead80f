"""Rebuild: every archived record of some batches judged again by today's rules, and nothing posted.

Belongs here: reading the archive through Spark and comparing with the ledger. Does not: posting;
what would differ is reported, and posting it is a restatement, which is somebody's decision.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from carbon_ledger.settings import Settings
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.rebuild import STANDINGS, archived_parts, compare_events
from spark.archive import ArchivedObject, check

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.connect.session import SparkSession

    from carbon_ledger.store.manifest import BatchPlan
    from spark.sink import Job

SAMPLES_MAX = 20


@dataclass(frozen=True, kw_only=True)
class RebuildReport:
    """How the archived records stand to the ledger under today's rules. Counts of records.

    `known` are there with the same figure; `would_post` are not there; `differ_payload` are there
    with other content (they were quarantined); `differ_figure` would have another figure today;
    `refused` would be dead letters; `refused_then` were. `samples` names up to twenty that differ.
    """

    records_read: int
    known: int
    would_post: int
    differ_payload: int
    differ_figure: int
    refused: int
    refused_then: int
    samples: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether today's rules would give anything but what the ledger has."""
        return bool(self.would_post or self.differ_figure)


def rebuild(
    spark: SparkSession,
    database_url: str,
    plans: Sequence[BatchPlan],
    settings: Settings | None = None,
) -> RebuildReport:
    """Judges the archived records of `plans` again, with the newest factor release; posts nothing.

    Raises BrokenInvariant if an archived object is missing or altered.
    """
    from pyspark.errors import PySparkException

    from carbon_ledger.store.factors import latest_release_id
    from spark.decode import spark_decoded
    from spark.micro_batch import current_id, make_job, translated
    from spark.sink import RESULT_SCHEMA

    settings = settings or load_settings()
    with closing(connect(database_url, "carbon-rebuild", autocommit=True)) as connection:
        parts = archived_parts(connection, [plan.batch_id for plan in plans])
        release = latest_release_id(connection) if parts else ""
    totals: Counter[str] = Counter()
    samples: list[str] = []
    if parts:
        job = make_job(database_url, plans[0], settings, factor_release=release)
        urls = [
            check(
                settings.archive_url,
                ArchivedObject(
                    path=part.archive_object,
                    sha256=part.archive_sha256,
                    size_bytes=part.archive_bytes,
                ),
            )
            for part in parts
        ]
        frame = spark_decoded(spark.read.parquet(*urls), current_id(job), job.reader_text)
        try:
            rows = frame.mapInArrow(partial(compare_parts, job), RESULT_SCHEMA).collect()
        except PySparkException as error:
            raise translated(error) from error
        for row in rows:
            found = json.loads(row["result"])
            samples += found.pop("samples")
            totals.update(found)
    counts = {name: totals[name] for name in ("records_read", *STANDINGS, "refused")}
    return RebuildReport(
        **counts,
        refused_then=sum(part.dead_lettered for part in parts),
        samples=tuple(samples[:SAMPLES_MAX]),
    )


def compare_parts(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For `mapInArrow`: counts of each standing, as one JSON text per task."""
    import pyarrow as pa

    from spark.emissions import judge
    from spark.sink import reading_part

    totals: Counter[str] = Counter()
    samples: list[str] = []
    with closing(connect(job.database_url, "carbon-rebuild", autocommit=True)) as connection:
        part = reading_part(job, connection)
        for batch in batches:
            judged = judge(batch, part)
            totals["records_read"] += batch.num_rows
            totals["refused"] += len(judged.refusals)
            events: list[tuple[str, str, str]] = list(
                zip(
                    judged.posted.column("event_id").to_pylist(),
                    judged.posted.column("payload_sha256").to_pylist(),
                    judged.posted.column("kgco2e").to_pylist(),
                    strict=True,
                )
            )
            for item in judged.corrections:
                line = item.lines[0]
                events.append((item.event_id, line.payload_sha256.hex(), f"{line.kgco2e:f}"))
            for standing in (
                compare_events(connection, *zip(*events, strict=True)) if events else ()
            ):
                totals[standing.standing] += 1
                if (
                    standing.standing in ("would_post", "differ_figure")
                    and len(samples) < SAMPLES_MAX
                ):
                    samples.append(
                        f"{standing.event_id}: {standing.kgco2e_ledger} in the ledger,"
                        f" {standing.kgco2e_today} today"
                    )
    result: dict[str, Any] = {**totals, "samples": samples}
    yield pa.RecordBatch.from_pydict({"result": [json.dumps(result)]})
