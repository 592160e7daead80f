"""A process that dies at any of the named points, and is started again, leaves the exact ledger."""

from __future__ import annotations

import os
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from carbon_ledger.failpoints import FAILPOINTS
from carbon_ledger.settings import load
from carbon_ledger.store.checks import check_accounts, check_windows, reconcile
from carbon_ledger.store.migrate import migrate, read_migrations
from carbon_ledger.store.upkeep import report_faults
from pipeline.kafka import kafka_config
from pipeline.serialization import Registry, encode, ensure_schema
from tests.chaos import history
from tests.chaos.history import Verdict
from tests.chaos.load import DAY, Readings, event_of
from tests.chaos.walk import Walk, read_records, start
from tests.support.dagster_client import wait_for
from tests.support.kafka_reading import Since
from tests.support.malformed import Malformed
from tests.support.oracle import Oracle, Sent
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

LETTERS = "dlq.failed_events"
ON_THE_RUN = {"attempt_begun", "batch_finished"}
IN_MIGRATIONS = {"migration_applied": ":4", "migration_committed": ":4"}
# What has to happen first for the point to be on the way.
BEFORE = {"failure_noted": "part_opened"}
# Not on the walk's way: tests/stack/test_failpoints_restatement.py has them.
IN_RESTATEMENTS = {"restatement_posted", "restatement_committed"}
# tests/stack/test_supplier_drops.py has them.
IN_DROPS = {"drop_claimed", "drop_recorded", "drop_receipted"}
# Nor these: tests/stack/test_change_capture.py has them.
IN_CAPTURE = {"changes_applied", "captured_events_sent", "changes_relayed"}
# tests/stack/test_dead_letters.py has these.
IN_DEAD_LETTERS = {
    *("edge_letters_keeping", "edge_letters_kept", "replays_deciding", "replays_decided"),
    *("replays_sent", "sendings_noting", "sendings_noted"),
}
ELSEWHERE = IN_RESTATEMENTS | IN_DROPS | IN_CAPTURE | IN_DEAD_LETTERS
WALK_SECONDS = 120.0


@dataclass(kw_only=True)
class Ground:
    """A topic and a ledger of one's own, what is to be sent, and the walk over them."""

    walk: Walk
    database: LedgerDatabase
    sent: list[Sent | Malformed]
    letters: Since

    @property
    def records_by_bytes(self) -> dict[tuple[bytes | None, bytes | None], Sent | Malformed]:
        return dict(zip(self.walk.records, self.sent, strict=True))

    def go(self, failpoint: str | None) -> int | None:
        """Exit code of the walk in a process of its own; minus the signal that ended it."""
        process = start(self.walk, failpoint)
        process.join(WALK_SECONDS)
        assert process.exitcode is not None, f"{failpoint}: the walk did not end"
        return process.exitcode


@contextmanager
def ground(stack: Any, folder: Path, migrated: bool = True, **options: Any) -> Iterator[Ground]:
    """Nothing sent yet, nothing claimed."""
    settings = load()
    topic = f"test.walk.{uuid.uuid4().hex[:8]}"
    admin = AdminClient(kafka_config(settings))
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(20)
    schema_id = ensure_schema(Registry(settings), topic, "iot_energy")
    plant = f"walk-{topic[-8:]}"
    readings = Readings(plant=plant, seed=11, schema_id=schema_id)
    sent: list[Sent | Malformed] = [readings.fresh() for _ in range(24)]
    withdrawn = sent[0]
    assert isinstance(withdrawn, Sent)
    readings.latest.pop(0)
    sent += [readings.noted(one) for one in readings.latest[:3]]
    sent += [readings.changed(1), readings.changed(0), readings.changed(1)]
    sent += [readings.malformed() for _ in range(4)]
    sent += [readings.fresh() for _ in range(6)]
    records = tuple(
        (one.key, one.value)
        if isinstance(one, Malformed)
        else (one.sensor_id.encode(), encode(event_of(one, plant), schema_id))
        for one in sent
    )
    with scratch_database(stack.layout.database_url, migrated=migrated) as database:
        name = database.writer_url.rsplit("/", 1)[1].split("?")[0]
        yield Ground(
            walk=Walk(
                topic=topic,
                migrator_url=stack.layout.database_url("carbon_migrator", name),
                writer_url=database.writer_url,
                sealer_url=database.sealer_url,
                archive_url=(folder / "archive").as_uri(),
                home=str(folder),
                plant=plant,
                withdrawn_event=history.event_id(withdrawn),
                records=records,
                day=DAY.date(),
                **options,
            ),
            database=database,
            sent=sent,
            letters=Since(settings=settings, topic=LETTERS),
        )
    admin.delete_topics([topic])[topic].result(20)


def compare(at: Ground) -> Verdict:
    """What is in the topic, judged by the oracle in its order, beside what is in the ledger."""
    walk = at.walk
    oracle, refused, ends = what_arrived(at)
    assert oracle.records >= len(at.sent)
    standing = [one for one in oracle.standing() if history.event_id(one) != walk.withdrawn_event]
    kwh = sum((Fraction(one.kwh) for one in standing), Fraction(0))
    begun, verdict = {0: 0}, Verdict()
    with closing(at.database.reader()) as conn:
        history.compare_entries(conn, walk.plant, standing, verdict)
        reversals = 1 + sum(one.revision for one in standing)
        lines = oracle.fates["ledgered"] + reversals
        history.compare_lines(conn, walk.plant, lines, reversals, kwh, verdict)
        history.compare_accounts(conn, walk.topic, begun, ends, oracle.fates, verdict)
        history.compare_letters(conn, walk.topic, begun, refused, oracle.fates, verdict)
        history.compare_windows(conn, walk.plant, standing, verdict)
        history.compare_archive(conn, walk.topic, begun, walk.archive_url, verdict)
        verdict.fault("reconcile", [], reconcile(conn))
        verdict.fault("check_accounts", [], check_accounts(conn))
        verdict.fault("check_windows", [], check_windows(conn, [walk.day]))
        compare_the_rest(conn, verdict)
        history.compare_heads(conn, Path(walk.home) / "heads", verdict)
        relayed = {
            (dict(one.headers() or [])["carbon.offset"], one.value())
            for one in at.letters.records()
            if dict(one.headers() or [])["carbon.topic"] == walk.topic.encode()
        }
        letters = history.our_letters(conn, walk.topic, begun)
    verdict.fault("relayed", {(str(row[1]).encode(), row[5]) for row in letters}, relayed)
    with closing(at.database.admin()) as conn:
        rows = conn.execute("select count(*) from public.schema_migration").fetchone()
        verdict.fault("migrations", (len(read_migrations()),), rows)
    verdict.fault("a further migration", [], migrate(walk.migrator_url))
    return verdict


def compare_the_rest(conn: Connection, verdict: Verdict) -> None:
    """Windows that needed no correction, a report that is the sum of its entries, one plant."""
    corrected = conn.execute(
        "select coalesce(sum(series_corrected), 0)::int, count(*) > 0 from windows.verification"
    ).fetchone()
    verdict.fault("windows corrected, and compared at all", (0, True), corrected)
    snapshots = conn.execute("select distinct snapshot_id from reports.esrs_e1").fetchall()
    verdict.fault("there is a report", True, bool(snapshots))
    for (snapshot_id,) in snapshots:
        verdict.fault("report", [], report_faults(conn, snapshot_id))
    sites = conn.execute("select count(*) from reference.site").fetchone()
    verdict.fault("statements of the plant", (1,), sites)
    releases = conn.execute("select count(*) from factors.release").fetchone()
    verdict.fault("factor releases", (1,), releases)
    still = conn.execute("select count(*) from manifest.batch where status <> 'done'").fetchone()
    verdict.fault("batches that are not done", (0,), still)


def what_arrived(at: Ground) -> tuple[Oracle, Counter[Any], dict[int, int]]:
    """The oracle's view of the topic's records, in their order; the refused ones; its end."""
    from carbon_ledger.store.manifest import PartRange
    from tests.support.kafka_reading import end_offsets

    settings, oracle, refused = load(), Oracle(), Counter[Any]()
    ends = end_offsets(settings, at.walk.topic)
    known = at.records_by_bytes
    part = PartRange(topic=at.walk.topic, kafka_partition=0, start_offset=0, end_offset=ends[0])
    for batch in read_records(settings, part):
        for key, value in zip(
            batch.column("key").to_pylist(), batch.column("value").to_pylist(), strict=True
        ):
            one = known[key, value]
            if isinstance(one, Malformed):
                oracle.malformed(one.reason_code)
                refused[key, value, one.reason_code] += 1
            else:
                oracle.sent(one)
    return oracle, refused, ends


@pytest.mark.parametrize("name", [name for name in FAILPOINTS if name not in ELSEWHERE])
def test_a_process_that_dies_at_the_point_leaves_the_exact_ledger(
    name: str, stack: Any, tmp_path: Path
) -> None:
    with ground(
        stack, tmp_path, migrated=name not in IN_MIGRATIONS, with_spark=name in ON_THE_RUN
    ) as at:
        if name in BEFORE:
            assert at.go(BEFORE[name]) == -signal.SIGKILL
        assert at.go(name + IN_MIGRATIONS.get(name, "")) == -signal.SIGKILL, "it was not hit"
        assert at.go(None) == 0
        assert compare(at) == Verdict()


def test_a_walk_that_does_not_die_and_a_second_one_leave_the_same(
    stack: Any, tmp_path: Path
) -> None:
    with ground(stack, tmp_path) as at:
        assert at.go("attempt_begun") == 0, "this walk is without Spark, so not by that point"
        assert compare(at) == Verdict()
        assert at.go("part_opened:9") == 0
        assert compare(at) == Verdict()
        one = next(one for one in at.sent[5:] if isinstance(one, Sent))
        at.sent[at.sent.index(one)] = replace(one, kwh="0.001")
        assert compare(at).altered, "a reading that was sent otherwise must be seen"


def test_a_writer_that_stood_still_and_wakes_is_fenced(stack: Any, tmp_path: Path) -> None:
    with ground(stack, tmp_path) as at:
        zombie = start(at.walk, "records_read!stop")
        assert zombie.pid is not None
        sleeper = psutil.Process(zombie.pid)
        wait_for("standstill", lambda: sleeper.status() == psutil.STATUS_STOPPED, 60)
        assert at.go(None) == 0
        before = what_there_is(at)
        os.kill(zombie.pid, signal.SIGCONT)
        zombie.join(60)
        assert zombie.exitcode == 1, "the zombie went on as if nothing had happened"
        assert what_there_is(at) == before
        assert compare(at) == Verdict()


def what_there_is(at: Ground) -> list[tuple[Any, ...]]:
    with closing(at.database.reader()) as conn:
        return conn.execute(
            "select entry_id, encode(content_sha256, 'hex') from ledger.entry order by 1"
        ).fetchall()
