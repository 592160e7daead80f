"""Whatever is killed in mid-batch under load: nothing is lost, doubled or altered, and work goes
on within a minute without a hand."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from carbon_ledger import settings as settings_module
from carbon_ledger.errors import Unavailable
from carbon_ledger.store.checks import check_accounts, check_windows, reconcile
from carbon_ledger.store.connect import connect
from pipeline.producers import CarbonEventProducer, IoTEnergyEvent
from tests.support.dagster_client import DagsterClient, wait_for
from tests.support.kafka_reading import Since, end_offsets
from tests.support.malformed import malformed_records
from tests.support.oracle import FACTOR_COLUMNS, Oracle, Sent, fraction_of, kgco2e, weighed
from tests.support.postgres import Connection

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

TOPIC, LETTERS = "raw.iot.energy", "dlq.failed_events"
PER_SECOND = 200
BURST = 2_000
RECOVERY_SECONDS_MAX = 60.0
# Long enough to see a recovery that is too slow, and to say how slow.
PATIENCE = 150.0
DAY = datetime(2025, 3, 10, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COUNTRIES = ("DE", "FR", "GB", "PL", "US", "KR")


@dataclass(kw_only=True)
class Load(threading.Thread):
    """Readings without pause: mostly new ones, some again, revised, changed or malformed.

    What it sent, and what must come of it, is in `oracle`, `values` and `producer`'s own counts.
    """

    name_of_plant: str
    producer: CarbonEventProducer
    oracle: Oracle = field(default_factory=Oracle)
    refused: Counter[tuple[bytes | None, bytes | None, str]] = field(default_factory=Counter)
    latest: list[Sent] = field(default_factory=list)
    revisions: int = 0
    error: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(name="load", daemon=True)
        self.chance = Random(20_250_310)
        self.number = 0
        self.ending = threading.Event()
        self.bursts = threading.Semaphore(0)
        schema_id = self.producer.schema_id(TOPIC)
        seed = self.chance.randrange(10**9)
        self.bad = malformed_records(10**6, schema_id, datetime.now(UTC), seed)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            while not self.ending.is_set():
                due = time.monotonic() + 0.1
                extra = BURST if self.bursts.acquire(blocking=False) else 0
                for _ in range(PER_SECOND // 10 + extra):
                    self.one()
                time.sleep(max(0.0, due - time.monotonic()))
            self.producer.close()
        except BaseException as error:
            self.error = error
            raise

    def one(self) -> None:
        """The next record."""
        kind = self.chance.random()
        if kind < 0.90 or not self.latest:
            self.fresh()
        elif kind < 0.95:
            self.send(self.chance.choice(self.latest))
        elif kind < 0.96:
            self.changed(1)
        elif kind < 0.965:
            self.changed(0)
        else:
            record = next(self.bad)
            self.producer.send_bytes(TOPIC, record.key, record.value)
            self.oracle.malformed(record.reason_code)
            self.refused[record.key, record.value, record.reason_code] += 1

    def fresh(self) -> None:
        meter = self.number % 24
        start = DAY + timedelta(seconds=15 * (self.number // 24))
        self.number += 1
        digits = self.chance.randint(0, 9)
        kwh = f"{self.chance.randrange(10_000)}.{self.chance.randrange(10**digits):0{digits}}"
        record = Sent(
            sensor_id=f"{self.name_of_plant}-m{meter}",
            timestamp_micros=(start - EPOCH) // timedelta(microseconds=1),
            revision=0,
            country_iso2=COUNTRIES[meter % len(COUNTRIES)],
            kwh=kwh.rstrip("."),
            payload=kwh,
        )
        self.send(record)
        self.latest.append(record)

    def changed(self, step: int) -> None:
        """A standing reading with another quantity: as its next revision, or wrongly as the same
        one."""
        place = self.chance.randrange(len(self.latest))
        was = self.latest[place]
        kwh = f"{was.kwh}1" if "." in was.kwh else f"{was.kwh}.1"
        record = Sent(**{**vars(was), "revision": was.revision + step, "kwh": kwh, "payload": kwh})
        fate = self.send(record)
        if fate == "ledgered":
            self.latest[place] = record
            self.revisions += 1

    def send(self, record: Sent) -> str:
        event = IoTEnergyEvent(
            record.sensor_id,
            self.name_of_plant,
            record.country_iso2,
            record.kwh,
            "grid",
            None,
            EPOCH + timedelta(microseconds=record.timestamp_micros),
            interval_seconds=15,
            revision=record.revision,
        )
        self.producer.send(TOPIC, key=event.sensor_id, value=event)
        return self.oracle.sent(record)


@dataclass
class Watch:
    """The ledger as a reader that puts up with the database being away."""

    url: str
    conn: Connection | None = None

    def ask(self, text: str, *values: object) -> list[tuple[Any, ...]] | None:
        """The rows, or None while PostgreSQL does not answer."""
        try:
            if self.conn is None:
                self.conn = connect(self.url, "tests", autocommit=True)
            return self.conn.execute(text.encode(), values).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError, Unavailable):
            if self.conn is not None:
                self.conn.close()
            self.conn = None
            return None


@dataclass(frozen=True, kw_only=True)
class Flight:
    """A batch that is being worked on."""

    batch_id: int
    attempt: int
    run_id: str


@dataclass
class Chaos:
    """The stack under load, and the hand that kills."""

    stack: Any
    watch: Watch
    dagster: DagsterClient
    load: Load

    def in_flight(self, is_writing: bool) -> Flight:
        """A batch under way now; `is_writing`: with a Spark task that has a transaction open."""
        self.load.bursts.release()
        deadline = time.monotonic() + PATIENCE
        writer = (
            "and exists (select from pg_stat_activity"
            " where application_name = 'carbon-writer-' || batch_id)"
        )
        while time.monotonic() < deadline:
            found = self.watch.ask(
                "select batch_id, attempt, run_id from manifest.batch"
                f" where status = 'running' {writer if is_writing else ''}"
            )
            if found:
                return Flight(batch_id=found[0][0], attempt=found[0][1], run_id=found[0][2])
            assert self.load.error is None, self.load.error
            time.sleep(0.02)
        raise AssertionError(f"no batch was under way within {PATIENCE:.0f} s")

    def recovery(self, flight: Flight, killed_at: datetime) -> dict[str, float]:
        """Seconds from the kill to: the next commit, the end of the batch in flight, the first
        commit of a later batch."""

        def moments() -> list[tuple[Any, ...]] | None:
            rows = self.watch.ask(
                "select (select min(closed_at) from ledger.batch_part where closed_at > %s),"
                " (select finished_at from manifest.batch where batch_id = %s),"
                " (select min(closed_at) from ledger.batch_part where batch_id > %s)",
                killed_at,
                flight.batch_id,
                flight.batch_id,
            )
            return rows if rows and None not in rows[0] else None

        try:
            (row,) = wait_for("recovery", moments, PATIENCE)
        except AssertionError:
            state = self.watch.ask(
                "select batch_id, attempt, status, run_id, not_before, error from manifest.batch"
                " order by 1 desc limit 2"
            )
            raise AssertionError(f"no recovery in {PATIENCE:.0f} s: {flight}, {state}") from None
        names = ("next commit", "batch done", "later batch")
        return {
            name: round((moment - killed_at).total_seconds(), 1)
            for name, moment in zip(names, row, strict=True)
        }


def kill(pid: int) -> datetime:
    """kill -9, and when."""
    os.kill(pid, signal.SIGKILL)
    return datetime.now(UTC)


def python_workers(pid: int) -> list[psutil.Process]:
    """Spark's Python processes under the server `pid`."""
    below = psutil.Process(pid).children(recursive=True)
    return [one for one in below if "python" in one.name()]


def kill_run_worker(chaos: Chaos) -> tuple[Flight, datetime]:
    for _ in range(10):
        flight = chaos.in_flight(is_writing=False)
        try:
            pids = chaos.dagster.run_pids(flight.run_id)
        except httpx.HTTPStatusError:
            # The web server's pool may still have connections of a PostgreSQL that was killed.
            continue
        row = chaos.watch.ask(
            "select status from manifest.batch where batch_id = %s", flight.batch_id
        )
        if pids and psutil.pid_exists(pids[0]) and row == [("running",)]:
            return flight, kill(pids[0])
    raise AssertionError("every run was over before it could be killed")


def kill_service(name: str) -> Callable[[Chaos], tuple[Flight, datetime]]:
    def victim(chaos: Chaos) -> tuple[Flight, datetime]:
        pid = chaos.stack.pids()[name]
        flight = chaos.in_flight(is_writing=True)
        return flight, kill(pid)

    return victim


def kill_python_worker(chaos: Chaos) -> tuple[Flight, datetime]:
    """The Python process of a Spark task that has a transaction open."""
    spark = chaos.stack.pids()["spark"]
    flight = chaos.in_flight(is_writing=True)
    workers = python_workers(spark)
    leaf = [one for one in workers if not one.children()]
    moment = datetime.now(UTC)
    for one in leaf:
        one.kill()
    return flight, moment


VICTIMS: dict[str, Callable[[Chaos], tuple[Flight, datetime]]] = {
    "run worker": kill_run_worker,
    "Spark's Python workers": kill_python_worker,
    "Spark server": kill_service("spark"),
    "PostgreSQL": kill_service("postgres"),
    "Kafka broker": kill_service("kafka"),
}


@pytest.fixture
def chaos(stack: Any) -> Iterator[Chaos]:
    resolved = settings_module.load()
    load = Load(
        name_of_plant=f"crash-{uuid.uuid4().hex[:8]}",
        producer=CarbonEventProducer(settings=resolved),
    )
    watch = Watch(resolved["CARBON_DATABASE_READER_URL"])
    yield Chaos(stack, watch, DagsterClient(stack.layout.port("dagster")), load)
    load.ending.set()
    if load.is_alive():
        load.join(130)
    if watch.conn is not None:
        watch.conn.close()


def test_kills_in_mid_batch_lose_double_and_alter_nothing(
    chaos: Chaos, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}")

    resolved = settings_module.load()
    begun = end_offsets(resolved, TOPIC)
    await_all_read(chaos.watch, begun)
    letters = Since(settings=resolved, topic=LETTERS)
    chaos.load.start()
    chaos.in_flight(is_writing=True)
    seconds: dict[str, dict[str, float]] = {}
    for name, victim in VICTIMS.items():
        workers = python_workers(chaos.stack.pids()["spark"])
        before = chaos.stack.pids()
        flight, killed_at = victim(chaos)
        seconds[name] = chaos.recovery(flight, killed_at)
        say(f"kill -9 of {name} in batch {flight.batch_id}: {seconds[name]} s")
        if name in ("Spark server", "Spark's Python workers"):
            gone = [one.pid for one in workers if not one.is_running()]
            assert gone, "no Python worker ended"
        chaos.stack.wait_ready(60)
        assert len(chaos.stack.pids()) == len(before)
    chaos.load.ending.set()
    chaos.load.join(130)
    assert not chaos.load.is_alive()
    assert chaos.load.error is None
    sent = chaos.load.oracle
    producer = chaos.load.producer
    assert (producer.sent, producer.delivered, producer.failed) == (sent.records,) * 2 + (0,)
    ends = end_offsets(resolved, TOPIC)
    assert sum(ends.values()) - sum(begun.values()) == sent.records
    await_all_read(chaos.watch, ends)
    with connect(resolved["CARBON_DATABASE_READER_URL"], "tests", autocommit=True) as conn:
        check_standing(conn, chaos.load.name_of_plant, chaos.load.oracle.standing())
        check_lines(conn, chaos.load)
        check_offsets(conn, begun, ends, chaos.load)
        check_letters(conn, begun, chaos.load, letters)
        assert reconcile(conn) == []
        assert check_accounts(conn) == []
        days = conn.execute(
            "select distinct local_date from ledger.entry where facility_id = %s",
            (chaos.load.name_of_plant,),
        ).fetchall()
        assert check_windows(conn, [day for (day,) in days]) == []
        check_window_sums(conn, chaos.load)
        planted_differences_are_seen(conn, begun, chaos.load, letters)
    say(f"{sent.records} records: {dict(sent.fates)}")
    slow = {name: one for name, one in seconds.items() if max(one.values()) > RECOVERY_SECONDS_MAX}
    assert not slow, slow


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

    wait_for("end of all batches", is_read, PATIENCE)


def event_id(record: Sent) -> str:
    """The natural key of a reading at a whole second, by its written rule."""
    moment = EPOCH + timedelta(microseconds=record.timestamp_micros)
    return f"iot:{record.sensor_id}@{moment:%Y-%m-%dT%H:%M:%SZ}#{record.revision}"


def factors_of(conn: Connection, plant: str) -> dict[str, str]:
    """The one factor behind each country's entries, in AR6, as text."""
    rows = conn.execute(
        f"select distinct e.country_iso2, f.country_iso2, f.unit, {FACTOR_COLUMNS}"
        " from ledger.entry e join factors.factor f"
        " on f.factor_id = e.factor_id and f.version = e.factor_version"
        " where e.facility_id = %s",
        (plant,),
    ).fetchall()
    assert all(row[0] == row[1] for row in rows), rows
    assert {row[2] for row in rows} == {"kWh"}
    factors = {row[0]: weighed(*row[3:]) for row in rows}
    assert len(factors) == len(rows) == len(COUNTRIES), rows
    return factors


def check_standing(conn: Connection, plant: str, standing: list[Sent]) -> None:
    """Event by event: the same ones stand, each with its exact quantity and figure, once."""
    factors = factors_of(conn, plant)
    rows = conn.execute(
        "select event_id, quantity::text, kgco2e::text, unit, country_iso2"
        " from ledger.active_entry where facility_id = %s",
        (plant,),
    ).fetchall()
    found = {row[0]: (fraction_of(row[1]), fraction_of(row[2]), row[3], row[4]) for row in rows}
    assert len(found) == len(rows)
    expected = {
        event_id(one): (
            fraction_of(one.kwh),
            kgco2e(one.kwh, factors[one.country_iso2]),
            "kWh",
            one.country_iso2,
        )
        for one in standing
    }
    assert found.keys() ^ expected.keys() == set()
    wrong = {key: (found[key], want) for key, want in expected.items() if found[key] != want}
    assert not wrong, list(wrong.items())[:3]


def check_lines(conn: Connection, load: Load) -> None:
    """As many lines as were ledgered, and one reversal for each revision."""
    lines = conn.execute(
        "select count(*), count(*) filter (where reverses_id is not null), sum(quantity)::text"
        " from ledger.entry where facility_id = %s",
        (load.name_of_plant,),
    ).fetchone()
    assert lines is not None
    ledgered = load.oracle.fates["ledgered"]
    assert lines[:2] == (ledgered + load.revisions, load.revisions)
    assert fraction_of(lines[2]) == load.oracle.kwh()


def check_offsets(
    conn: Connection, begun: dict[int, int], ends: dict[int, int], load: Load
) -> None:
    """The parts cover every offset once, and their counts are those of what was sent."""
    rows = conn.execute(
        "select kafka_partition, start_offset, end_offset, records_read, ledgered, duplicate,"
        " dead_lettered, quarantined from ledger.batch_part p"
        " join manifest.stream s using (topic, topic_incarnation)"
        " where p.topic = %s order by kafka_partition, start_offset",
        (TOPIC,),
    ).fetchall()
    position = dict.fromkeys(ends, 0)
    total: Counter[str] = Counter()
    for partition, start, end, *counts in rows:
        assert start == position[partition], (partition, start, position[partition])
        position[partition] = end
        assert counts[0] == end - start == sum(counts[1:])
        if end <= begun[partition]:
            continue
        assert start >= begun[partition]
        names = ("ledgered", "duplicate", "dead_lettered", "quarantined")
        total.update(dict(zip(names, counts[1:], strict=True)))
    assert position == ends
    assert total == load.oracle.fates


def check_letters(conn: Connection, begun: dict[int, int], load: Load, letters: Since) -> None:
    """Exactly the records made malformed are refused, each for its reason, and relayed."""
    rows = conn.execute(
        "select kafka_partition, kafka_offset, fate, reason_code, record_key, record_value"
        " from ledger.dead_letter d join manifest.stream s using (topic, topic_incarnation)"
        " where d.topic = %s",
        (TOPIC,),
    ).fetchall()
    ours = [row for row in rows if row[1] >= begun[row[0]]]
    refused = Counter(
        (key, value, code) for _, _, fate, code, key, value in ours if fate == "dead_lettered"
    )
    assert refused == load.refused
    quarantined = Counter(row[3] for row in ours if row[2] == "quarantined")
    assert quarantined == Counter(identity_conflict=load.oracle.fates["quarantined"])
    expected = {(row[0], row[1]) for row in ours}

    def missing() -> set[tuple[int, int]]:
        seen = set()
        for message in letters.records():
            headers = dict(message.headers() or [])
            if headers["carbon.topic"] == TOPIC.encode():
                seen.add((int(headers["carbon.partition"]), int(headers["carbon.offset"])))
        return expected - seen

    wait_for("relay of every dead letter", lambda: not missing(), 90)


def planted_differences_are_seen(
    conn: Connection, begun: dict[int, int], load: Load, letters: Since
) -> None:
    """The comparisons above can fail: a record that was never sent, or sent otherwise, is
    missed."""
    key = next(iter(load.refused))
    load.refused[key] += 1
    with pytest.raises(AssertionError):
        check_letters(conn, begun, load, letters)
    load.refused[key] -= 1
    one = load.latest[-1]
    standing = load.oracle.standing()
    last_digit = Sent(**{**vars(one), "kwh": f"{fraction_of(one.kwh) + Fraction(1, 10**12)}"})
    lost = Sent(**{**vars(one), "timestamp_micros": one.timestamp_micros + 3_600_000_000})
    for planted in (
        [last_digit if other == one else other for other in standing],
        [*standing, lost],
        [other for other in standing if other != one],
    ):
        with pytest.raises(AssertionError):
            check_standing(conn, load.name_of_plant, planted)


def check_window_sums(conn: Connection, load: Load) -> None:
    """The daily windows are the sum of what was sent."""
    factors = factors_of(conn, load.name_of_plant)
    row = conn.execute(
        "select sum(quantity)::text, sum(kgco2e)::text, sum(entries) from windows.daily"
        " where facility_id = %s",
        (load.name_of_plant,),
    ).fetchone()
    assert row is not None
    found = (Fraction(row[0]), Fraction(row[1]), int(row[2]))
    standing = len(load.oracle.standing())
    assert found == (load.oracle.kwh(), load.oracle.kgco2e(factors), standing)
