"""A topic, a ledger and its dead letters of one's own; records are judged without Spark.

Belongs here: sending, working off with Spark's tasks in this process, replaying in a process that
dies. Does not: the planner of the running stack, which takes no part.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from carbon_ledger.planning import TopicSight
from carbon_ledger.settings import Settings, load
from carbon_ledger.store import gaps, manifest
from carbon_ledger.store.letters import Letter, Wanted, list_letters
from carbon_ledger.streams import Stream, find
from factor_seeds.load import release
from pipeline.kafka import kafka_config
from pipeline.letter_replay import Outcome, Request, replay
from pipeline.serialization import Registry, ensure_schema
from spark.micro_batch import make_job, remember
from spark.sink import commit_parts
from tests.chaos.walk import record_batch
from tests.support.postgres import LedgerDatabase, scratch_database

PARTITIONS = 2
BATCH_RECORDS = 500
READ_SECONDS = 60.0
SPAWN = multiprocessing.get_context("spawn")


@dataclass(kw_only=True)
class Ground:
    """One topic, one ledger, one stream, and what reads and writes them."""

    settings: Settings
    database: LedgerDatabase
    stream: Stream
    schema_id: int
    producer: Producer
    highs: Counter[int]
    release_id: str
    since: datetime | None = None

    def mark(self) -> None:
        """From here on, `letters` are those that become letters from now on."""
        (self.since,) = self.rows("select clock_timestamp()")[0]

    def send(self, *records: tuple[bytes | None, bytes | None], headers: Any = None) -> None:
        """Records, one partition after the other."""
        for number, (key, value) in enumerate(records):
            partition = number % PARTITIONS
            self.producer.produce(
                self.stream.topic, key=key, value=value, partition=partition, headers=headers
            )
            self.producer.poll(0)
        assert self.producer.flush(60) == 0

    def look(self) -> None:
        """Where the topic ends now: replays are sent by others."""
        consumer = self._consumer()
        try:
            for partition in range(PARTITIONS):
                place = TopicPartition(self.stream.topic, partition)
                self.highs[partition] = consumer.get_watermark_offsets(place, timeout=15)[1]
        finally:
            consumer.close()

    def work(self) -> Counter[str]:
        """Ledgers everything there is; the fates of what was read."""
        self.look()
        with closing(self.database.writer(autocommit=True)) as conn:
            offsets = {number: (0, self.highs[number]) for number in range(PARTITIONS)}
            gaps.observe_topic(conn, self.stream.name, TopicSight(topic_id="T", offsets=offsets))
            plan = manifest.plan_batch(
                conn,
                self.stream,
                dict(self.highs),
                factor_release=self.release_id,
                arrival_partition="2026-01-01-00:00",
            )
            if plan is None:
                return Counter()
            plan = manifest.begin_attempt(conn, plan.batch_id, plan.attempt, "run")
            job = make_job(self.database.writer_url, plan, self.settings)
            if job.current is not None:
                remember(job, job.current)
            fates: Counter[str] = Counter()
            for part in plan.ranges:
                for answer in commit_parts(job, self._records(part)):
                    result = json.loads(answer.column("result")[0].as_py())
                    names = ("records_read", "ledgered", "duplicate", "dead_lettered")
                    fates.update({name: result[name] for name in (*names, "quarantined")})
            manifest.finish_batch(conn, plan.batch_id, plan.attempt)
            return fates

    def _consumer(self) -> Consumer:
        own = {"group.id": f"letters-{uuid.uuid4()}", "enable.auto.commit": False}
        return Consumer({**kafka_config(self.settings), **own})

    def _records(self, part: Any) -> Iterator[pa.RecordBatch]:
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(part.topic, part.kafka_partition, part.start_offset)])
            left = part.end_offset - part.start_offset
            while left:
                messages = consumer.consume(min(left, BATCH_RECORDS), READ_SECONDS)
                assert messages, f"{left} records of {part} did not come"
                assert all(one.error() is None for one in messages)
                left -= len(messages)
                yield with_headers(messages)
        finally:
            consumer.close()

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(self.database.reader()) as conn:
            return conn.execute(statement, parameters).fetchall()

    def letters(self, **wanted: Any) -> list[Letter]:
        """Letters, as the reader sees them."""
        with closing(self.database.reader()) as conn:
            chosen = Wanted(**{"since": self.since, **wanted})
            return list_letters(conn, chosen, limit=10_000, tries=3)

    def states(self) -> Counter[str]:
        return Counter(one.state for one in self.letters())

    def replay(self, *ids: str, who: str = "operator", why: str = "a test", **how: Any) -> Outcome:
        """A replay of letters by id, or by `wanted`."""
        wanted = how.pop("wanted", None) or Wanted(ids=ids)
        request = Request(wanted=wanted, who=who, why=why, **how)
        with closing(self.database.writer(autocommit=True)) as conn:
            return replay(conn, self.settings, request)

    def replay_and_die(self, failpoint: str, request: Request) -> int | None:
        """The same in a process of its own that kills itself there; minus the signal."""
        process = SPAWN.Process(
            target=_replay_and_die,
            args=(failpoint, self.database.writer_url, dict(self.settings.values), request),
        )
        process.start()
        process.join(60)
        return process.exitcode


def _replay_and_die(
    failpoint: str, writer_url: str, values: dict[str, str], request: Request
) -> None:
    from carbon_ledger.store.connect import connect

    os.environ["CARBON_FAILPOINT"] = failpoint
    with closing(connect(writer_url, "dying", autocommit=True)) as conn:
        replay(conn, Settings(values), request)


def with_headers(messages: Sequence[Message]) -> pa.RecordBatch:
    """Kafka messages as the sink's input, with headers as Spark writes them."""
    batch = record_batch(messages)
    texts = [None if not one.headers() else _spark_text(one.headers() or []) for one in messages]
    return batch.set_column(
        batch.schema.get_field_index("headers"), "headers", pa.array(texts, pa.string())
    )


def _spark_text(headers: Iterable[Any]) -> str:
    return json.dumps(
        [
            {"key": name} | ({} if value is None else {"value": base64.b64encode(value).decode()})
            for name, value in headers
        ]
    )


@contextmanager
def letter_ground(stack: Any, folder: Path, name: str = "iot_energy") -> Iterator[Ground]:
    """Nothing sent yet; gone afterwards."""
    found = load()
    settings = Settings({**found.values, "CARBON_ARCHIVE_URL": (folder / "archive").as_uri()})
    topic = f"test.letters.{uuid.uuid4().hex[:8]}"
    admin = AdminClient(kafka_config(settings))
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result(20)
    stream = replace(find(name), topic=topic, max_wait_seconds=0)
    with scratch_database(stack.layout.database_url, with_factors=True) as database:
        with closing(database.writer(autocommit=True)) as conn:
            manifest.ensure_stream(conn, stream)
        yield Ground(
            settings=settings,
            database=database,
            stream=stream,
            schema_id=ensure_schema(Registry(settings), topic, name),
            producer=Producer(kafka_config(settings)),
            highs=Counter(dict.fromkeys(range(PARTITIONS), 0)),
            release_id=release().release_id,
        )
    admin.delete_topics([topic])[topic].result(20)
