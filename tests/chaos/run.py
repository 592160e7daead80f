"""One trial: load on a running stack, blows from a seed, quiet, and the comparison.

    python -m tests.chaos.run --kills 100 --events 1000000 --seed 1

starts an empty stack of its own (as the tests do: TEST_STACK_HOME, TEST_STACK_OFFSET), runs one
trial on it and writes a report to chaos-results/. Exit code 1 if anything is not as sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from carbon_ledger import settings as settings_module
from carbon_ledger.store.checks import check_accounts, check_windows, reconcile
from carbon_ledger.store.connect import connect
from pipeline.producers import CarbonEventProducer
from tests.chaos import history
from tests.chaos.history import Verdict
from tests.chaos.load import PER_SECOND_MIN, TOPIC, Load, Readings
from tests.chaos.nemesis import Nemesis, Watch, schedule
from tests.chaos.report import Report, commit_now, report_of
from tests.support.dagster_client import DagsterClient, wait_for
from tests.support.kafka_reading import Since, end_offsets
from tests.support.stack_fixture import set_daemon

LETTERS = "dlq.failed_events"
# The load is spread over the blows at this pace, and what is left is sent at once at the end.
SECONDS_A_BLOW = 16.0
QUIET_SECONDS = 900.0
SEAL_SECONDS = 300.0
# What runs that are under way may take to end once nothing asks for new ones.
STILL_SECONDS = 30.0
RECOVERY_SECONDS_MAX = 60.0


@dataclass(kw_only=True)
class Trial:
    """One trial on `stack`; `planted` faults can be compared with its ledger afterwards."""

    stack: Any
    seed: int
    say: Callable[[str], None]
    watch: Watch
    plant: str
    readings: Readings
    begun: dict[int, int]
    ends: dict[int, int] = field(default_factory=dict)

    def compare(self) -> Verdict:
        """Everything that was sent in this trial beside everything that is there."""
        resolved = settings_module.load()
        verdict = Verdict()
        oracle = self.readings.oracle
        standing = oracle.standing()
        reader = connect(
            resolved["CARBON_DATABASE_READER_URL"],
            "tests",
            True,
            statement_seconds=0,
            organizations="*",
        )
        with reader as conn:
            history.compare_entries(conn, self.plant, standing, verdict)
            revisions = self.readings.revisions
            lines = oracle.fates["ledgered"] + revisions
            history.compare_lines(conn, self.plant, lines, revisions, oracle.kwh(), verdict)
            history.compare_accounts(conn, TOPIC, self.begun, self.ends, oracle.fates, verdict)
            history.compare_letters(
                conn, TOPIC, self.begun, self.readings.refused, oracle.fates, verdict
            )
            history.compare_windows(conn, self.plant, standing, verdict)
            history.compare_archive(conn, TOPIC, self.begun, resolved.archive_url, verdict)
            history.compare_heads(conn, resolved.heads_folder, verdict)
            verdict.fault("reconcile", [], reconcile(conn))
            verdict.fault("check_accounts", [], check_accounts(conn))
            days = conn.execute(
                "select distinct local_date from ledger.iot_energy where facility_id = %s",
                (self.plant,),
            ).fetchall()
            verdict.fault("check_windows", [], check_windows(conn, [day for (day,) in days]))
        return verdict

    def missing_letters(self, letters: Since) -> set[tuple[int, int]]:
        """Coordinates of our dead letters that dlq.failed_events does not have."""
        resolved = settings_module.load()
        with connect(
            resolved["CARBON_DATABASE_READER_URL"], "tests", True, organizations="*"
        ) as conn:
            ours = {row[:2] for row in history.our_letters(conn, TOPIC, self.begun)}
        seen = set()
        for message in letters.records():
            headers = dict(message.headers() or [])
            if headers["carbon.topic"] == TOPIC.encode():
                seen.add((int(headers["carbon.partition"]), int(headers["carbon.offset"])))
        return ours - seen


def run_trial(
    stack: Any, *, seed: int, kills: int, others: int, events: int, say: Callable[[str], None]
) -> tuple[Trial, Report, Verdict]:
    """Deals the seed's blows while `events` records are sent; compares once all is quiet."""
    resolved = settings_module.load()
    started, commit = datetime.now(UTC), commit_now()
    watch = Watch(resolved["CARBON_DATABASE_READER_URL"])
    producer = CarbonEventProducer(settings=resolved)
    plant = f"chaos-{seed}-{started:%H%M%S}"
    readings = Readings(plant=plant, seed=seed, schema_id=producer.schema_id(TOPIC))
    blows = schedule(seed, kills, others)
    load = Load(
        readings=readings,
        producer=producer,
        events=events,
        per_second=max(PER_SECOND_MIN, events / (SECONDS_A_BLOW * max(1, len(blows)))),
    )
    begun = end_offsets(resolved, TOPIC)
    await_all_read(watch, begun)
    letters = Since(settings=resolved, topic=LETTERS)
    trial = Trial(
        stack=stack, seed=seed, say=say, watch=watch, plant=plant, readings=readings, begun=begun
    )
    dagster = DagsterClient(stack.layout.port("dagster"))
    nemesis = Nemesis(
        stack,
        watch,
        dagster,
        load,
        stack.layout.database_url("postgres", "postgres"),
        Path(unquote(urlsplit(resolved.archive_url).path)),
        say,
    )
    with _running(load):
        for blow in blows:
            nemesis.deal(blow)
        stack.wait_ready(90)
        load.hurry.set()
        load.join(QUIET_SECONDS)
    assert load.error is None, load.error
    assert not load.is_alive(), "the load did not end"
    sent = readings.oracle.records
    counts = (producer.sent, producer.delivered, producer.failed)
    assert counts == (sent, sent, 0), (counts, sent)
    trial.ends = end_offsets(resolved, TOPIC)
    assert sum(trial.ends.values()) - sum(begun.values()) == sent
    await_all_read(watch, trial.ends)
    with all_still(stack, watch, dagster):
        verdict = trial.compare()
    wait_for("relay of every dead letter", lambda: not trial.missing_letters(letters), 120)
    watch.close()
    report = report_of(
        seed=seed,
        commit=commit,
        begun=started,
        fates=readings.oracle.fates,
        dealt=nemesis.dealt,
        verdict=verdict,
    )
    path = report.write()
    say(f"{report.text}{path}")
    return trial, report, verdict


@contextmanager
def _running(load: Load) -> Iterator[None]:
    load.start()
    try:
        yield
    finally:
        load.stopping.set()
        load.join(140)


def await_all_read(watch: Watch, ends: dict[int, int]) -> None:
    """Until every offset is committed and no batch is open."""

    def is_read() -> bool:
        rows = watch.ask(
            "select kafka_partition, committed_offset from manifest.progress p"
            " join manifest.stream s using (topic, topic_incarnation) where p.topic = %s",
            TOPIC,
        )
        still = watch.ask("select 1 from manifest.batch where status in ('planned', 'running')")
        committed = dict.fromkeys(ends, 0) | dict(rows or [])
        return rows is not None and committed == ends and still == []

    wait_for("end of all batches", is_read, QUIET_SECONDS)


def is_all_sealed(watch: Watch) -> bool:
    """Whether every commit has a seal, every seal a head, and every head is in its file."""
    rows = watch.ask(
        "select (select count(*) from audit.commit c where not exists"
        " (select from audit.seal_commit s where s.commit_id = c.commit_id)),"
        " (select count(*) from audit.head h where not exists (select from"
        " audit.head_publication p where p.tree_size = h.tree_size and p.place = 'file'))"
    )
    return rows == [(0, 0)]


@contextmanager
def all_still(stack: Any, watch: Watch, dagster: DagsterClient) -> Iterator[None]:
    """Everything is sealed, and nothing is added during the block.

    What follows from the batches (postings per period, their seal) is committed by runs that
    sensors ask for later, also while database and files are compared one after the other: so the
    daemon stands still, and the runs that it had started are over.
    """

    def is_still() -> bool:
        if not is_all_sealed(watch):
            return False
        set_daemon(stack, at_work=False)
        with suppress(AssertionError):
            wait_for("end of all runs", lambda: dagster.runs_under_way() == [], STILL_SECONDS)
            if is_all_sealed(watch):
                return True
        set_daemon(stack, at_work=True)
        return False

    wait_for("seal of every commit", is_still, SEAL_SECONDS)
    try:
        yield
    finally:
        set_daemon(stack, at_work=True)


def say(line: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="tests.chaos.run")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--others", type=int, help="blows of other kinds; default a fifth as many")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    from tests.support.stack_environment import enter_test_environment, only_session

    enter_test_environment()
    from devstack.stack import Stack
    from pipeline.preparation import prepare_streams

    stack = Stack(settings_module.load())
    with only_session():
        stack.down()
        stack.reset()
        try:
            stack.up(initialise=prepare_streams)
            _, report, verdict = run_trial(
                stack,
                seed=given.seed,
                kills=given.kills,
                others=given.kills // 5 if given.others is None else given.others,
                events=given.events,
                say=say,
            )
        finally:
            stack.down()
    is_fast = report.recovery_p95 is None or report.recovery_p95 <= RECOVERY_SECONDS_MAX
    return 0 if verdict.is_clean and is_fast else 1


if __name__ == "__main__":
    raise SystemExit(main())
