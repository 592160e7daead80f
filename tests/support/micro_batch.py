"""A topic, a ledger and a manifest of one's own, and the micro-batch between them, all real.

Belongs here: driving the manifest by hand, so that the planner of the running stack takes no part.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from carbon_ledger import settings as settings_module
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.planning import TopicSight
from carbon_ledger.store import factors, gaps, manifest
from carbon_ledger.streams import Stream, find
from factor_seeds.load import release
from pipeline.kafka import kafka_config
from pipeline.serialization import Registry, encode, ensure_schema
from spark.micro_batch import BatchResult, run_batch
from spark.session import connect as connect_spark
from tests.support.postgres import LedgerDatabase, scratch_database

PARTITIONS = 2
START = datetime(2024, 5, 6, 7, tzinfo=UTC)


@dataclass(kw_only=True)
class Bench:
    """One topic, one ledger, one stream, and the connections to them."""

    settings: settings_module.Settings
    database: LedgerDatabase
    stream: Stream
    schema_id: int
    producer: Producer
    spark: Any
    highs: Counter[int]
    release_id: str

    def send(self, *records: tuple[bytes | None, bytes | None], partition: int = 0) -> None:
        for key, value in records:
            self.producer.produce(self.stream.topic, key=key, value=value, partition=partition)
            self.highs[partition] += 1
        assert self.producer.flush(20) == 0

    def send_events(self, *events: IoTEnergyEvent, partition: int = 0) -> None:
        self.send(
            *((event.sensor_id.encode(), encode(event, self.schema_id)) for event in events),
            partition=partition,
        )

    def plan(self, attempt_by: str = "run") -> manifest.BatchPlan:
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
            assert plan is not None
            return manifest.begin_attempt(conn, plan.batch_id, plan.attempt, attempt_by)

    def run(self, plan: manifest.BatchPlan) -> BatchResult:
        return run_batch(self.spark, self.database.writer_url, plan, self.settings)

    def work(self) -> BatchResult:
        plan = self.plan()
        result = self.run(plan)
        with closing(self.database.writer(autocommit=True)) as conn:
            manifest.finish_batch(conn, plan.batch_id, plan.attempt)
        return result

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(self.database.reader()) as conn:
            return conn.execute(statement, parameters).fetchall()


@contextmanager
def micro_batch_bench(stack: Any, stream: str = "iot_energy") -> Iterator[Bench]:
    """A fresh bench on the running stack, gone afterwards; its topic has the stream's schema."""
    settings = settings_module.load()
    with scratch_database(stack.layout.database_url, with_factors=True) as database:
        yield from _prepared(settings, database, stream)


@contextmanager
def bench_on(database: LedgerDatabase, stream: str) -> Iterator[Bench]:
    """A bench for a further stream on a ledger that is there."""
    yield from _prepared(settings_module.load(), database, stream)


def _prepared(
    settings: settings_module.Settings, ledger_database: LedgerDatabase, name: str
) -> Iterator[Bench]:
    topic = f"test.{name}.{uuid.uuid4().hex[:8]}"
    admin = AdminClient(kafka_config(settings))
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result(20)
    rows = release()
    stream = replace(find("iot_energy"), name=name, topic=topic, max_wait_seconds=0)
    with closing(ledger_database.writer(autocommit=True)) as conn:
        if not any(one.release_id == rows.release_id for one in factors.list_releases(conn)):
            factors.store_release(conn, rows)
        manifest.ensure_stream(conn, stream)
    yield Bench(
        settings=settings,
        database=ledger_database,
        stream=stream,
        schema_id=ensure_schema(Registry(settings), topic, name),
        producer=Producer(kafka_config(settings)),
        spark=connect_spark(settings["CARBON_SPARK_REMOTE"]),
        highs=Counter(dict.fromkeys(range(PARTITIONS), 0)),
        release_id=rows.release_id,
    )
    admin.delete_topics([topic])[topic].result(20)


def reading(number: int = 0, **changes: Any) -> IoTEnergyEvent:
    fields: dict[str, Any] = {
        "sensor_id": f"M{number}",
        "facility_id": "F1",
        "country_iso2": "DE",
        "energy_kwh": "12.50",
        "energy_source": "grid",
        "grid_carbon_intensity_gco2_kwh": "385.2",
        "timestamp": START,
        "interval_seconds": 900,
    }
    return IoTEnergyEvent(**{**fields, **changes})
