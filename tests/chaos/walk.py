"""The whole way of a few records in one process, which may die at any step and then begins anew.

Belongs here: the project's own functions in the order in which the running stack calls them, from
the migrations to the report, so that CARBON_FAILPOINT can be set for one process and no other. Does
not: judging what came of it. Only what Spark's reader does is done here, by a plain consumer,
except in a walk `with_spark`; the crash tests under load have Spark everywhere.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from uuid import uuid4

import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition

from carbon_assets import ledger_run
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.rows import ELECTRICITY_FAMILIES, FactorRelease, make_release
from carbon_ledger.planning import OpenBatch, RunSight
from carbon_ledger.reference.records import Site
from carbon_ledger.settings import Settings, load
from carbon_ledger.store import manifest
from carbon_ledger.store.connect import connect
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.manifest import BatchPlan, PartRange
from carbon_ledger.store.migrate import migrate
from carbon_ledger.store.reference import register_sites
from carbon_ledger.store.reports import build_esrs_e1
from carbon_ledger.store.rows import entries_of_event
from carbon_ledger.store.upkeep import verify_windows
from carbon_ledger.streams import Stream, find
from factor_seeds.load import release
from pipeline.dead_letters import relay
from pipeline.heads import seal_and_publish
from pipeline.kafka import kafka_config
from pipeline.producers import CarbonEventProducer
from resources.database import LedgerDatabase
from resources.kafka import KafkaTopics
from resources.spark_connect import SparkConnect
from sensors.planner import plan_tick
from spark.micro_batch import make_job, remember
from spark.sink import commit_parts
from tests.chaos.load import COUNTRIES

WALK_SECONDS = 90.0
READ_SECONDS = 30.0
# A part comes in several record batches, as from Spark.
BATCH_RECORDS = 16


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What one walk works on: its own topic, ledger and archive, and the records to send."""

    topic: str
    migrator_url: str
    writer_url: str
    sealer_url: str
    archive_url: str
    home: str
    plant: str
    withdrawn_event: str
    records: tuple[tuple[bytes | None, bytes | None], ...]
    day: date
    with_spark: bool = False

    @property
    def stream(self) -> Stream:
        """The stream of readings, here fed by the walk's own topic."""
        return replace(find("iot_energy"), topic=self.topic, max_wait_seconds=0)


def run_walk(walk: Walk, failpoint: str | None) -> None:
    """The whole way. Whatever of it was done before is found done; the rest is done."""
    os.environ["CARBON_DATABASE_ADMIN_URL"] = walk.migrator_url
    os.environ["CARBON_DATABASE_WRITER_URL"] = walk.writer_url
    os.environ["CARBON_ARCHIVE_URL"] = walk.archive_url
    if failpoint is not None:
        os.environ["CARBON_FAILPOINT"] = failpoint
    settings = load()
    migrate(walk.migrator_url)
    with closing(connect(walk.writer_url, "walk", autocommit=True)) as conn:
        store_release(conn, factors_of_the_walk())
        register_sites(conn, [site_of(walk)])
        send(walk, settings)
        work_off_everything(walk, conn, settings)
        relay(conn, settings)
        withdraw(walk, conn)
        seal(walk, settings)
        verify_windows(conn, [walk.day], "walk")
        build_esrs_e1(conn, walk.day.year, snapshot_id=uuid4(), run_id="walk", code_version="walk")


@cache
def factors_of_the_walk() -> FactorRelease:
    """Of the shipped release what readings of the walk's countries are priced with.

    One row in thirteen: each walk stores, reads and archives them all, and how many there are is
    for other tests.
    """
    shipped = release()
    rows = [
        row
        for row in shipped.rows
        if row.family in ELECTRICITY_FAMILIES and row.country_iso2 in (*COUNTRIES, None)
    ]
    potentials = [row for row in shipped.index_rows if row.series.startswith("gwp_")]
    return make_release("walk", rows, potentials)


def site_of(walk: Walk) -> Site:
    """The plant, with a calendar of its own."""
    return Site(
        facility_id=walk.plant,
        organization_id="default",
        country_iso2="DE",
        time_zone="Etc/UTC",
        name="a plant",
    )


def send(walk: Walk, settings: Settings) -> None:
    """Sends every record; somebody who does not know what arrived sends all of them again."""
    with CarbonEventProducer(settings=settings) as producer:
        for key, value in walk.records:
            producer.send_bytes(walk.topic, key, value)
        producer.flush()


def work_off_everything(walk: Walk, conn: manifest.Connection, settings: Settings) -> None:
    """Ticks of the planner, and the runs it asks for, until the accounts are at the topic's end."""
    run_id, kafka = f"run-{os.getpid()}", KafkaTopics()
    deadline = time.monotonic() + WALK_SECONDS

    def find_run(batch: OpenBatch) -> RunSight:
        """Another process's run is over: that process is dead, or this one would not be here."""
        if batch.run_id in (None, run_id):
            return RunSight()
        return RunSight(outlook="failed", run_id=batch.run_id)

    while time.monotonic() < deadline:
        tick = plan_tick(
            conn,
            walk.stream,
            lambda: kafka.sight(walk.topic),
            find_run=find_run,
            give_up=lambda run, because: None,
            now=manifest.database_now(conn),
        )
        if tick.batch_id is not None and tick.attempt is not None:
            work = work_with_spark if walk.with_spark else work_here
            work(walk, conn, settings, run_id, tick.batch_id, tick.attempt)
        elif is_all_committed(conn, walk.stream.name, kafka.sight(walk.topic).highs):
            return
        else:
            time.sleep(0.2)
    raise TimeoutError(f"not all is committed after {WALK_SECONDS:.0f} s: {tick.sentence}")


def is_all_committed(conn: manifest.Connection, stream: str, highs: object) -> bool:
    """Whether the accounts reach the topic's end."""
    progress = manifest.read_state(conn, stream).progress
    return {number: one.committed for number, one in progress.items()} == highs


def work_with_spark(
    walk: Walk,
    conn: manifest.Connection,
    settings: Settings,
    run_id: str,
    batch_id: int,
    attempt: int,
) -> None:
    """The run as the ledger's asset does it."""
    ledger_run.work_off(
        walk.stream,
        ledger_run.LedgerConfig(batch_id=batch_id, attempt=attempt),
        run_id,
        LedgerDatabase(),
        KafkaTopics(),
        SparkConnect(),
    )


def work_here(
    walk: Walk,
    conn: manifest.Connection,
    settings: Settings,
    run_id: str,
    batch_id: int,
    attempt: int,
) -> None:
    """The same run with Spark's tasks in this process."""
    plan: BatchPlan = manifest.begin_attempt(conn, batch_id, attempt, run_id)
    job = make_job(walk.writer_url, plan, settings)
    if job.current is not None:
        remember(job, job.current)
    for part in plan.ranges:
        for _ in commit_parts(job, read_records(settings, part)):
            manifest.renew_lease(conn, batch_id, attempt)
    manifest.finish_batch(conn, batch_id, attempt)


def read_records(settings: Settings, part: PartRange) -> Iterator[pa.RecordBatch]:
    """Exactly the part's records, as Spark's reader hands them over without decoded columns."""
    consumer = Consumer(
        {**kafka_config(settings), "group.id": f"walk-{uuid4()}", "enable.auto.commit": False}
    )
    place = TopicPartition(part.topic, part.kafka_partition, part.start_offset)
    consumer.assign([place])
    try:
        messages = []
        deadline = time.monotonic() + READ_SECONDS
        while len(messages) < part.end_offset - part.start_offset:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{part} was not read in {READ_SECONDS:.0f} s")
            messages += [one for one in consumer.consume(500, 0.5) if one.error() is None]
    finally:
        consumer.close()
    messages = messages[: part.end_offset - part.start_offset]
    for start in range(0, len(messages), BATCH_RECORDS):
        yield record_batch(messages[start : start + BATCH_RECORDS])


def record_batch(messages: Sequence[object]) -> pa.RecordBatch:
    """Kafka messages as one record batch of the sink's input."""
    rows = [
        (m.topic(), m.partition(), m.offset(), m.timestamp()[1] * 1000, m.key(), m.value())  # type: ignore[attr-defined]
        for m in messages
    ]
    types = (
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("key", pa.binary()),
        ("value", pa.binary()),
    )
    columns = {
        name: pa.array([row[place] for row in rows], kind)
        for place, (name, kind) in enumerate(types)
    }
    return pa.RecordBatch.from_pydict({**columns, "headers": pa.nulls(len(rows), pa.string())})


def withdraw(walk: Walk, conn: manifest.Connection) -> None:
    """Withdraws one reading by hand; somebody who does not know whether it was done, again."""
    (entry, *_) = entries_of_event(conn, walk.withdrawn_event)
    try:
        post_correction(
            conn,
            activity_month=entry.activity_month,
            entry_id=entry.entry_id,
            replacement=None,
            cause="the meter was not ours, says its owner",
        )
    except RejectedRecord as reason:
        if reason.code != "already_reversed":
            raise


def seal(walk: Walk, settings: Settings) -> None:
    """Seals everything, with a key and a folder of heads of the walk's own."""
    own = {
        "CARBON_HOME": walk.home,
        "CARBON_LEDGER_ORIGIN": walk.topic,
        "CARBON_SIGNING_KEY_FILE": "",
        "CARBON_WITNESS_URL": "",
    }
    with closing(connect(walk.sealer_url, "walk", autocommit=True)) as conn:
        seal_and_publish(conn, Settings({**settings.values, **own}))


def start(walk: Walk, failpoint: str | None) -> multiprocessing.Process:
    """The walk in a process of its own, forked from one that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.chaos.warm_walk"])
    process = context.Process(target=run_walk, args=(walk, failpoint))
    process.start()
    return process  # type: ignore[return-value]
