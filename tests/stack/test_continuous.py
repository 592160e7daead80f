"""The continuous driver on real parts: Kafka, Spark Connect, PostgreSQL, beside the micro-batch one
or alone, and killed.

Each test has a topic and a ledger database of its own; the driver is a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

import dagster as dg
import pytest

from carbon_assets.continuous import report_batches
from carbon_ledger import settings as settings_module
from carbon_ledger.errors import Unavailable
from carbon_ledger.planning import RunSight
from carbon_ledger.store import drivers, gaps, manifest, read
from carbon_ledger.store.drivers import DriverReplaced
from carbon_ledger.streams import Stream
from pipeline.topic_sight import look
from spark.continuous import drive
from spark.frame_work import Feed, work_pending
from spark.micro_batch import run_batch
from tests.support.dagster_client import wait_for
from tests.support.micro_batch import PARTITIONS, Bench, micro_batch_bench, reading

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
TRIGGER_MS = 500


@pytest.fixture
def bench(stack: Any) -> Iterator[Bench]:
    with micro_batch_bench(stack) as bench:
        yield bench


def _drive(stream: Stream, url: str, name: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    drive(
        stream,
        settings=settings_module.load(),
        trigger_ms=TRIGGER_MS,
        stop=stop,
        say=lambda line: print(line, flush=True),  # noqa: T201
        database_url=url,
        driver=name,
    )


@dataclass
class Driving:
    """A driver's process."""

    bench: Bench
    process: BaseProcess

    def entries(self) -> int:
        return int(self.bench.rows("select count(*) from ledger.entry")[0][0])

    def await_entries(self, count: int, seconds: float = 120) -> None:
        wait_for(f"{count} entries", lambda: self.entries() >= count, seconds)
        assert self.entries() == count


@contextmanager
def driving(bench: Bench, name: str = "one") -> Iterator[Driving]:
    process = multiprocessing.get_context("spawn").Process(
        target=_drive, args=(bench.stream, bench.database.writer_url, name)
    )
    process.start()
    try:
        yield Driving(bench=bench, process=process)
    finally:
        process.terminate()
        process.join(60)
        if process.is_alive():
            process.kill()
            process.join(10)


def held(bench: Bench) -> drivers.Driver | None:
    with closing(bench.database.writer(autocommit=True)) as conn:
        return drivers.driver_of(conn, bench.stream.name)


def assert_exact(bench: Bench, records: int) -> None:
    """Every record sent has its one entry and its one account; every claim is done."""
    assert bench.rows("select sum(records_read), sum(ledgered) from ledger.batch_part") == [
        (records, records)
    ]
    assert bench.rows(
        "select count(*), count(distinct (kafka_partition, kafka_offset)) from ledger.entry"
    ) == [(records, records)]
    assert bench.rows("select distinct status from manifest.batch") == [("done",)]
    with closing(bench.database.reader()) as conn:
        assert read.check_accounts(conn) == []
        days = [
            day for (day,) in bench.rows("select distinct local_date from manifest.batch_window")
        ]
        assert read.check_windows(conn, days) == []


def by_the_planner(bench: Bench, is_enough: Callable[[], bool], pause: float = 1.0) -> int:
    """What the micro-batch driver does on the same topic, a tick every `pause` seconds, until it is
    enough; batches worked off."""
    worked = 0
    with closing(bench.database.writer(autocommit=True)) as conn:
        while not is_enough():
            highs = look(bench.stream.topic, bench.settings).highs
            plan = manifest.plan_batch(
                conn,
                bench.stream,
                highs,
                factor_release=bench.release_id,
                arrival_partition="2026-01-01-00:00",
            )
            if plan is None:
                time.sleep(0.05)
                continue
            try:
                plan = manifest.begin_attempt(conn, plan.batch_id, plan.attempt, "a run")
            except manifest.AttemptReplaced:
                continue
            run_batch(bench.spark, bench.database.writer_url, plan, bench.settings)
            manifest.finish_batch(conn, plan.batch_id, plan.attempt)
            worked += 1
            time.sleep(pause)
    return worked


def test_what_is_sent_is_ledgered_and_a_terminated_driver_leaves_in_good_order(
    bench: Bench,
) -> None:
    bench.send_events(*(reading(number) for number in range(20)))
    with driving(bench) as at:
        at.await_entries(20)
        wait_for("a running query", lambda: held(bench), 20)
        for first in (20, 40, 60):
            bench.send_events(
                *(reading(number) for number in range(first, first + 20)),
                partition=first // 20 % PARTITIONS,
            )
            sent_at = time.monotonic()
            at.await_entries(first + 20)
        assert time.monotonic() - sent_at < 20
        bench.send_events(*(reading(number) for number in range(80, 100)))
        at.process.terminate()
        at.process.join(60)
        assert at.process.exitcode == 0
    assert held(bench) is None, "the planner may go on at once"
    assert bench.rows("select count(*) from manifest.batch where status <> 'done'") == [(0,)]
    deadline = time.monotonic() + 60
    by_the_planner(
        bench,
        lambda: (
            bench.rows("select count(*) from ledger.entry") == [(100,)]
            or time.monotonic() > deadline
        ),
    )
    assert_exact(bench, 100)


def test_both_drivers_at_once_on_one_topic_add_nothing_twice_and_both_get_their_turn(
    bench: Bench,
) -> None:
    def batches() -> dict[str, int]:
        return dict(
            bench.rows(
                "select split_part(run_id, ' ', 1), count(*) from manifest.batch"
                " where status = 'done' group by 1"
            )
        )

    deadline = time.monotonic() + 120

    def is_enough() -> bool:
        done = batches()
        both = min(done.get("a", 0), done.get("continuous", 0)) >= 2
        return both or time.monotonic() > deadline

    with driving(bench) as at:
        wait_for("a driver", lambda: held(bench), 30)
        results: list[int] = []
        beside = threading.Thread(target=lambda: results.append(by_the_planner(bench, is_enough)))
        beside.start()
        sent = 0
        while beside.is_alive():
            for partition in range(PARTITIONS):
                bench.send_events(
                    *(reading(number) for number in range(sent, sent + 5)), partition=partition
                )
                sent += 5
            time.sleep(0.1)
        beside.join()
        at.await_entries(sent)
    assert_exact(bench, sent)
    done = batches()
    assert results == [done["a"]]
    assert min(done["a"], done["continuous"]) >= 2, done


def test_a_killed_driver_leaves_an_exact_ledger_to_its_successor(bench: Bench) -> None:
    bench.send_events(*(reading(number) for number in range(30)))
    with driving(bench, "first") as at:
        at.await_entries(30)
        before = wait_for("a driver", lambda: held(bench), 20)
        bench.send_events(*(reading(number) for number in range(30, 3_000)))
        assert at.process.pid is not None
        os.kill(at.process.pid, signal.SIGKILL)
        at.process.join(10)
    with closing(bench.database.writer(autocommit=True)) as conn:
        with pytest.raises(Unavailable, match="driven by first"):
            drivers.take_stream(conn, bench.stream.name, "in between")
        # The lease is up, without twenty seconds of waiting.
        conn.execute("update manifest.driver set lease_until = clock_timestamp()")
    with driving(bench, "second") as at:
        at.await_entries(3_000)
        after = wait_for("a successor", lambda: held(bench), 20)
        assert (after.driver, after.epoch) == ("second", before.epoch + 1)
        feed = Feed(
            stream=bench.stream,
            database_url=bench.database.writer_url,
            driver="first",
            epoch=before.epoch,
        )
        with pytest.raises(DriverReplaced, match="lost it"):
            work_pending(feed, bench.spark, "late", bench.settings)
    assert_exact(bench, 3_000)


def test_a_batch_whose_run_vanished_is_taken_up_by_the_driver(bench: Bench) -> None:
    bench.send_events(*(reading(number) for number in range(10)))
    with closing(bench.database.writer(autocommit=True)) as conn:
        seen = look(bench.stream.topic, bench.settings)
        assert gaps.observe_topic(conn, bench.stream.name, seen) == []
        plan = manifest.plan_batch(
            conn,
            bench.stream,
            seen.highs,
            factor_release=bench.release_id,
            arrival_partition="2026-01-01-00:00",
        )
        assert plan is not None
        manifest.begin_attempt(conn, plan.batch_id, plan.attempt, "a run that is gone")
        conn.execute("update manifest.lease set lease_until = clock_timestamp()")
    with driving(bench) as at:
        at.await_entries(10)
        wait_for("the end of the batch", lambda: _is_done(bench, plan.batch_id), 20)
    assert_exact(bench, 10)
    assert bench.rows("select attempt, failures from manifest.batch") == [(2, 1)]


def _is_done(bench: Bench, batch_id: int) -> bool:
    with closing(bench.database.writer(autocommit=True)) as conn:
        return manifest.is_done(conn, batch_id)


def test_the_planner_leaves_a_driven_stream_alone_until_the_lease_is_up(bench: Bench) -> None:
    from sensors.planner import plan_tick

    bench.send_events(reading(1))

    def tick(conn: Any) -> Any:
        return plan_tick(
            conn,
            bench.stream,
            lambda: look(bench.stream.topic, bench.settings),
            find_run=lambda batch: RunSight(),
            give_up=lambda run, because: None,
            now=manifest.database_now(conn),
        )

    with closing(bench.database.writer(autocommit=True)) as conn:
        epoch = drivers.take_stream(conn, bench.stream.name, "driver A")
        left = tick(conn)
        assert left.batch_id is None
        assert "left to the continuous driver driver A" in left.sentence
        assert drivers.keep_stream(conn, bench.stream.name, epoch)
        assert not drivers.keep_stream(conn, bench.stream.name, epoch - 1)
        drivers.leave_stream(conn, bench.stream.name, epoch)
        assert tick(conn).batch_id is not None


def test_dagster_is_told_of_batches_without_a_run_once(bench: Bench) -> None:
    with closing(bench.database.writer(autocommit=True)) as conn:
        epoch = drivers.take_stream(conn, bench.stream.name, "reporter")
        feed = Feed(
            stream=bench.stream,
            database_url=bench.database.writer_url,
            driver="reporter",
            epoch=epoch,
        )
        for number in range(3):
            bench.send_events(reading(number), reading(number))
            assert work_pending(feed, bench.spark, "test", bench.settings) == 1
        with dg.DagsterInstance.ephemeral() as instance:
            assert report_batches(conn, instance, bench.stream) == 3
            assert report_batches(conn, instance, bench.stream) == 0
            key = dg.AssetKey(bench.stream.ledger_key)
            event = instance.get_latest_materialization_event(key)
            assert event is not None
            assert event.run_id == ""
            made = event.asset_materialization
            assert made is not None
            facts = {name: value.value for name, value in made.metadata.items()}
            assert (facts["read"], facts["ledgered"], facts["duplicate"]) == (6, 3, 3)
            assert made.partition is not None
            windows = dg.AssetKey(["windows", "daily"])
            assert instance.get_latest_materialization_event(windows) is not None
