"""A ledger of one's own that takes the records of a real topic without Spark.

Belongs here: reading a topic into the record batches that a Spark task is given, and committing
them by the same code. Does not: Spark's part of it (tests/support/micro_batch.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from confluent_kafka import TopicPartition

from carbon_ledger import settings as settings_module
from carbon_ledger.planning import TopicSight
from carbon_ledger.store import gaps, manifest
from carbon_ledger.streams import Stream, find
from factor_seeds.load import release
from spark.micro_batch import make_job
from spark.sink import PartResult, commit_part
from tests.support.kafka_reading import consumer, end_offsets
from tests.support.postgres import LedgerDatabase, scratch_database

WAIT_SECONDS = 20.0


@dataclass(kw_only=True)
class PlainLedger:
    """A scratch ledger and the stream it takes; `totals` of all that it took."""

    settings: settings_module.Settings
    database: LedgerDatabase
    stream: Stream
    release_id: str
    totals: Counter[str]

    def take(self) -> list[PartResult]:
        """Commits everything that is in the topic and was not taken yet."""
        ends = end_offsets(self.settings, self.stream.topic)
        with closing(self.database.writer(autocommit=True)) as conn:
            offsets = {number: (0, end) for number, end in ends.items()}
            gaps.observe_topic(conn, self.stream.name, TopicSight(topic_id="T", offsets=offsets))
            plan = manifest.plan_batch(
                conn,
                self.stream,
                ends,
                factor_release=self.release_id,
                arrival_partition="2026-01-01-00:00",
            )
            if plan is None:
                return []
            plan = manifest.begin_attempt(conn, plan.batch_id, plan.attempt, "test")
            job = make_job(self.database.writer_url, plan, self.settings)
            results = [
                commit_part(
                    job,
                    part.topic,
                    part.kafka_partition,
                    self._records(part.kafka_partition, part.start_offset, part.end_offset),
                )
                for part in plan.ranges
            ]
            manifest.finish_batch(conn, plan.batch_id, plan.attempt)
        for result in results:
            for name in ("records_read", "ledgered", "duplicate", "dead_lettered", "quarantined"):
                self.totals[name] += getattr(result, name)
        return results

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the ledger says."""
        with closing(self.database.reader()) as conn:
            return conn.execute(statement, parameters).fetchall()

    def _records(self, partition: int, start: int, end: int) -> Iterator[pa.RecordBatch]:
        reader = consumer(self.settings)
        try:
            reader.assign([TopicPartition(self.stream.topic, partition, start)])
            position = start
            while position < end:
                found = reader.consume(min(500, end - position), WAIT_SECONDS)
                assert found, f"no records of partition {partition} from {position} on"
                yield _batch(found)
                position = int(found[-1].offset() or 0) + 1
        finally:
            reader.close()


def _batch(messages: list[Any]) -> pa.RecordBatch:
    stamps = [datetime.fromtimestamp(one.timestamp()[1] / 1000, UTC) for one in messages]
    return pa.RecordBatch.from_pydict(
        {
            "topic": pa.array([one.topic() for one in messages], pa.string()),
            "partition": pa.array([one.partition() for one in messages], pa.int32()),
            "offset": pa.array([one.offset() for one in messages], pa.int64()),
            "timestamp": pa.array(stamps, pa.timestamp("us", tz="UTC")),
            "key": pa.array([one.key() for one in messages], pa.binary()),
            "value": pa.array([one.value() for one in messages], pa.binary()),
            "headers": pa.nulls(len(messages), pa.string()),
        }
    )


@contextmanager
def plain_ledger(stack: Any, stream: str, topic: str | None = None) -> Iterator[PlainLedger]:
    """A fresh ledger for a stream on the running stack, gone afterwards."""
    settings = settings_module.load()
    own = replace(find(stream), max_wait_seconds=0)
    own = own if topic is None else replace(own, topic=topic)
    with scratch_database(stack.layout.database_url, with_factors=True) as database:
        with closing(database.writer(autocommit=True)) as conn:
            manifest.ensure_stream(conn, own)
        yield PlainLedger(
            settings=settings,
            database=database,
            stream=own,
            release_id=release().release_id,
            totals=Counter(),
        )
