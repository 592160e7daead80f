"""From an event to its ledger entries: the continuous driver, and the sensor path with all five
streams; and what that costs Dagster's database and an idle machine.

`python -m tests.bench.latency --seconds 60` starts a stack of its own. Every figure stands beside
the gate of the issue it is for; a shorter measurement than the gate speaks of says so.

Belongs here: load, measuring, gates. Does not: throughput (tests.bench.run).
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from carbon_ledger.settings import PROJECT_ROOT, Settings, load
from carbon_ledger.streams import find
from tests.bench.run import enter_environment, note

PER_SECOND = 200
CONTINUOUS_P99_SECONDS = 3.0
SENSOR_P99_SECONDS = 45.0
GROWTH_MB_A_DAY = 20.0
# Share of the load by stream: meters send most, declarations come now and then.
SHARES = {"iot_energy": 120, "transport": 40, "logistics": 20, "procurement": 15, "supplier": 5}
DRAIN_SECONDS = 300
# A driver works for days; in its first half minute its JVM compiles what every frame runs.
WARM_SECONDS = 45


def event_fields(stream: str) -> dict[str, Any]:
    """Fields of an event of the stream that is ledgered as it is."""
    from tests.support.event_cases import outcome, sendable

    if stream == "iot_energy":
        return READING
    for name, fields in sendable():
        if name == stream and not isinstance(outcome(stream, fields), str):
            return dict(fields)
    raise LookupError(stream)


READING = {
    "facility_id": "BENCH-1",
    "country_iso2": "DE",
    "energy_kwh": "12.50",
    "energy_source": "grid",
    "grid_carbon_intensity_gco2_kwh": "385.2",
    "timestamp": datetime(2025, 3, 10, 12, tzinfo=UTC),
    "interval_seconds": 900,
}
# The field that makes each stream's events different ones, by counting.
NATURAL_KEY = {
    "iot_energy": "sensor_id",
    "transport": "trip_id",
    "logistics": "shipment_id",
    "procurement": "document_id",
    "supplier": "declaration_id",
}
# A company buys from many: of one supplier alone every purchase would be of one claim, which is
# looked at whole each time.
SUPPLIERS = 300


class Load:
    """Events at an even pace, sent in a thread; counts what Kafka acknowledged."""

    def __init__(self, settings: Settings, rates: dict[str, int]) -> None:
        self.settings, self.rates = settings, rates
        self.name = uuid.uuid4().hex[:8]
        self.sent = dict.fromkeys(rates, 0)
        self._numbers = itertools.count()
        self._makers = {stream: self._maker(stream) for stream in rates}

    def _maker(self, stream: str) -> Callable[[], Any]:
        from carbon_ledger.calculation import EVENT_KINDS
        from carbon_ledger.events import IoTEnergyEvent

        fields, key = event_fields(stream), NATURAL_KEY[stream]
        kind = IoTEnergyEvent if stream == "iot_energy" else EVENT_KINDS[stream].event_class

        def make() -> Any:
            number = next(self._numbers)
            made = {**fields, key: f"{self.name}-{number}"}
            if "supplier_id" in fields:
                made["supplier_id"] = f"SUP-{number % SUPPLIERS}"
            return kind(**made)  # type: ignore[operator]

        return make

    def send(self, seconds: float, times: int = 1) -> None:
        """`times` the rates for so long; returns once Kafka has acknowledged all of it."""
        from pipeline.producers import CarbonEventProducer

        order = [stream for stream, rate in self.rates.items() for _ in range(rate)]
        pace = len(order) * times
        begun, number = time.monotonic(), 0
        with CarbonEventProducer(settings=self.settings) as producer:
            while (elapsed := time.monotonic() - begun) < seconds:
                while number < elapsed * pace:
                    # A stride that shares no factor with the length spreads the streams evenly.
                    stream = order[number * 7_919 % len(order)]
                    producer.send(find(stream).topic, key=None, value=self._makers[stream]())
                    self.sent[stream] += 1
                    number += 1
                time.sleep(0.01)
            producer.flush()


def accounts(settings: Settings) -> dict[str, dict[str, int]]:
    """Records read and ledgered so far, by stream."""
    from carbon_ledger.store.connect import connect_as_reader

    with closing(connect_as_reader(settings, "bench", autocommit=True)) as conn:
        rows = conn.execute(
            "select stream, sum(records_read)::bigint, sum(ledgered)::bigint"
            " from ledger.batch_part group by 1"
        ).fetchall()
    return {stream: {"read": read, "ledgered": ledgered} for stream, read, ledgered in rows}


def await_read(settings: Settings, expected: dict[str, int]) -> float:
    """Seconds until every stream has read so many records."""
    begun = time.monotonic()
    while True:
        found = accounts(settings)
        lacking = {
            stream: count - found.get(stream, {}).get("read", 0)
            for stream, count in expected.items()
            if found.get(stream, {}).get("read", 0) < count
        }
        if not lacking:
            return time.monotonic() - begun
        if time.monotonic() - begun > DRAIN_SECONDS:
            raise TimeoutError(f"after {DRAIN_SECONDS} s still to be read: {lacking}")
        time.sleep(0.5)


def waits(settings: Settings, since: datetime) -> dict[str, Any]:
    """Seconds from Kafka's append to the end of the commit, of each record sent since, by stream
    and all together: p50, p99, largest."""
    import numpy as np
    import pyarrow.parquet as pq

    from carbon_ledger.store.connect import connect_as_reader
    from spark.archive import open_archive

    with closing(connect_as_reader(settings, "bench")) as conn:
        parts = conn.execute(
            "select stream, archive_object, closed_at from ledger.batch_part"
            " where last_appended_at >= %s",
            (since,),
        ).fetchall()
    filesystem, root = open_archive(settings.archive_url)
    found: dict[str, list[Any]] = {}
    for stream, path, closed_at in parts:
        stamps = pq.read_table(f"{root}/{path}", columns=["timestamp"], filesystem=filesystem)
        appended = stamps.column("timestamp").cast("int64").to_numpy()
        recent = appended[appended >= since.timestamp() * 1e6]
        found.setdefault(stream, []).append(closed_at.timestamp() - recent / 1e6)
    by_stream = {stream: np.concatenate(every) for stream, every in sorted(found.items())}
    by_stream["all"] = np.concatenate(list(by_stream.values()))
    return {
        stream: {
            "events": len(every),
            "p50": round(float(np.percentile(every, 50)), 2),
            "p99": round(float(np.percentile(every, 99)), 2),
            "max": round(float(every.max()), 2),
        }
        for stream, every in by_stream.items()
    }


@contextmanager
def continuous_driver(stream: str, trigger: str) -> Iterator[None]:
    """`carbon stream run` as a process of its own, ended in good order."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "stream", "run", stream, "--trigger", trigger],
        cwd=PROJECT_ROOT,
        stdout=sys.stderr,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(90)


def continuous(seconds: int, trigger: str = "250ms") -> dict[str, Any]:
    """The gate of the continuous driver, at PER_SECOND meter readings a second."""
    settings = load()
    with continuous_driver("iot_energy", trigger):
        before = accounts(settings).get("iot_energy", {}).get("read", 0)
        warm = Load(settings, {"iot_energy": PER_SECOND})
        warm.send(WARM_SECONDS)
        await_read(settings, {"iot_energy": before + warm.sent["iot_energy"]})
        before += warm.sent["iot_energy"]
        since = datetime.now(UTC)
        one = Load(settings, {"iot_energy": PER_SECOND})
        one.send(seconds)
        await_read(settings, {"iot_energy": before + one.sent["iot_energy"]})
        found = waits(settings, since)["all"]
    return {
        **found,
        "seconds": seconds,
        "trigger": trigger,
        "gate": f"p99 <= {CONTINUOUS_P99_SECONDS} s",
        "met": found["p99"] <= CONTINUOUS_P99_SECONDS,
    }


def dagster_sizes() -> dict[str, Any]:
    """Bytes of Dagster's database and of its tables with indexes, and rows of the event log by
    kind."""
    with closing(_dagster()) as conn:
        total = conn.execute("select pg_database_size(current_database())").fetchone()
        tables = conn.execute(
            "select relname, pg_total_relation_size(oid) from pg_class"
            " where relkind = 'r' and relnamespace = 'public'::regnamespace"
            " order by 2 desc limit 8"
        ).fetchall()
        events = conn.execute(
            "select (run_id <> '') as of_a_run, dagster_event_type, count(*),"
            " sum(length(event))::bigint from event_logs group by 1, 2 order by 4 desc limit 8"
        ).fetchall()
        ticks = conn.execute(
            "select status, count(*), sum(length(tick_body))::bigint from job_ticks group by 1"
        ).fetchall()
        runs = conn.execute("select count(*) from runs").fetchone()
    return {
        "bytes": total[0],
        "tables": dict(tables),
        "events": [list(row) for row in events],
        "ticks": [list(row) for row in ticks],
        "runs": runs[0],
    }


def _dagster() -> Any:
    import psycopg

    from carbon_ledger.settings import read_env_file

    written = read_env_file(load().home / "stack.env")
    return psycopg.connect(
        host=written["DAGSTER_PG_HOST"],
        port=int(written["DAGSTER_PG_PORT"]),
        dbname=written["DAGSTER_PG_DB"],
        user=written["DAGSTER_PG_USERNAME"],
        password=written["DAGSTER_PG_PASSWORD"],
        autocommit=True,
    )


def compact() -> int:
    """Bytes of Dagster's database when every table is written anew: what is in it, without
    holes."""
    with closing(_dagster()) as conn:
        conn.execute("vacuum full")
        row = conn.execute("select pg_database_size(current_database())").fetchone()
    return int(row[0])


def purge_everything() -> dict[str, int]:
    """What the purge leaves of runs, observations and ticks once they are of age: here, all that
    are over."""
    import os

    import dagster as dg

    from carbon_assets.retention import purge_runs
    from carbon_ledger.settings import DAGSTER_VARIABLES, read_env_file
    from carbon_ledger.store.dagster_storage import purge_check_executions, purge_observations
    from resources.database import LedgerDatabase

    written = read_env_file(load().home / "stack.env")
    os.environ.update(
        {k: v for k, v in written.items() if k in ("DAGSTER_HOME", *DAGSTER_VARIABLES)}
    )
    now, nothing = datetime.now(UTC) + timedelta(seconds=1), timedelta(0)
    with dg.DagsterInstance.get() as instance:
        deleted = kept = told = 0
        while True:
            done = purge_runs(instance, LedgerDatabase(), now, keep=nothing, keep_failed=nothing)
            deleted, kept, told = (
                deleted + done.runs_deleted,
                done.runs_kept,
                told + done.hours_told,
            )
            if not done.runs_deleted:
                break
    observations = purge_observations(now)
    results = purge_check_executions(now, now)
    with closing(_dagster()) as conn:
        ticks = conn.execute("delete from job_ticks where status <> 'STARTED'").rowcount
    return {
        "runs_deleted": deleted,
        "runs_kept": kept,
        "hours_told": told,
        "observations_deleted": observations,
        "check_results_deleted": results,
        "ticks_deleted": ticks,
    }


def sensors(seconds: int) -> dict[str, Any]:
    """The gates of the sensor path: five streams at PER_SECOND together, and what it leaves in
    Dagster's database."""
    settings = load()
    before = {stream: found["read"] for stream, found in accounts(settings).items()}
    warm = Load(settings, {stream: 2 for stream in SHARES})
    warm.send(5)
    expected = {s: before.get(s, 0) + warm.sent[s] for s in SHARES}
    await_read(settings, expected)
    purge_everything()
    compacted, sizes = compact(), dagster_sizes()
    since, begun = datetime.now(UTC), time.monotonic()
    one = Load(settings, SHARES)
    one.send(seconds)
    expected = {s: expected[s] + one.sent[s] for s in SHARES}
    await_read(settings, expected)
    lasted = time.monotonic() - begun
    found, after = waits(settings, since), dagster_sizes()
    purged = purge_everything()
    left = compact() - compacted
    a_day = 86_400 / lasted / 1e6
    return {
        "latency": found,
        "seconds": seconds,
        "gate": f"p99 <= {SENSOR_P99_SECONDS} s",
        "met": found["all"]["p99"] <= SENSOR_P99_SECONDS,
        "dagster_mb_a_day_before_purge": round((after["bytes"] - sizes["bytes"]) * a_day, 1),
        "dagster_mb_a_day_after_purge": round(left * a_day, 1),
        "growth_gate": f"<= {GROWTH_MB_A_DAY} MB a day, extrapolated from {lasted / 60:.0f} min",
        "growth_met": left * a_day <= GROWTH_MB_A_DAY,
        "purged": purged,
        "what_grew": after,
    }


def idle(seconds: int) -> dict[str, Any]:
    """Share of one core that each part of Dagster takes when nothing comes in, in percent."""
    import psutil

    from devstack.stack import Stack

    pids = Stack(load()).pids()
    watched = {name: psutil.Process(pid) for name, pid in pids.items()}
    begun = {name: _cpu(process) for name, process in watched.items()}
    time.sleep(seconds)
    return {
        name: round(100 * (_cpu(process) - begun[name]) / seconds, 1)
        for name, process in watched.items()
    }


def _cpu(process: Any) -> float:
    every = [process, *process.children(recursive=True)]
    return sum(one.cpu_times().user + one.cpu_times().system for one in every)


def burst(seconds: int, times: int = 10) -> dict[str, Any]:
    """`times` the load for so long through the sensors: it drains, nothing is lost, and no
    process grows without bound."""
    import psutil

    settings = load()
    before = accounts(settings)
    one = Load(settings, SHARES)
    peak: dict[str, int] = {}
    stop = threading.Event()

    def watch() -> None:
        from devstack.stack import Stack

        pids = Stack(settings).pids()
        pids["load"] = psutil.Process().pid
        while not stop.wait(1):
            for name, pid in pids.items():
                with suppress(psutil.NoSuchProcess):
                    peak[name] = max(peak.get(name, 0), psutil.Process(pid).memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    since = datetime.now(UTC)
    one.send(seconds, times)
    drained = await_read(
        settings, {s: before.get(s, {}).get("read", 0) + one.sent[s] for s in SHARES}
    )
    stop.set()
    watcher.join(5)
    after = accounts(settings)
    ledgered = {s: after[s]["ledgered"] - before.get(s, {}).get("ledgered", 0) for s in SHARES}
    return {
        "sent": one.sent,
        "ledgered": ledgered,
        "lost": {s: one.sent[s] - ledgered[s] for s in SHARES if one.sent[s] != ledgered[s]},
        "drained_after_seconds": round(drained, 1),
        "latency": waits(settings, since),
        "peak_rss_mb": {name: round(size / 1e6) for name, size in sorted(peak.items())},
    }


def main() -> int:
    """0 whatever the figures are, since this machine may be shared; the gates are in them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.latency", description=__doc__)
    parser.add_argument("--seconds", type=int, default=90, help="of load, for each measurement")
    parser.add_argument("--burst-seconds", type=int, default=0)
    parser.add_argument("--idle-seconds", type=int, default=60)
    parser.add_argument("--only", choices=("continuous", "sensors", "burst", "idle"))
    options = parser.parse_args()
    enter_environment()
    results = with_stack(options)
    print(json.dumps(results, indent=2))  # noqa: T201
    return 0


def with_stack(options: argparse.Namespace) -> dict[str, Any]:
    """The measurements on a fresh stack."""
    from devstack.stack import Stack
    from pipeline.preparation import prepare_streams

    stack = Stack(load())
    stack.down()
    stack.reset()
    try:
        stack.up(initialise=prepare_streams, report=note)
        return measure(
            seconds=options.seconds,
            burst_seconds=options.burst_seconds,
            idle_seconds=options.idle_seconds,
            only=options.only,
        )
    finally:
        stack.down()


def measure(
    *, seconds: int, burst_seconds: int = 0, idle_seconds: int = 60, only: str | None = None
) -> dict[str, Any]:
    """The measurements that were asked for, on the stack that runs."""
    results: dict[str, Any] = {}
    wanted: list[tuple[str, int, Callable[[int], dict[str, Any]]]] = [
        ("idle", idle_seconds, idle),
        ("continuous", seconds, continuous),
        ("sensors", seconds, sensors),
        ("burst", burst_seconds, burst),
    ]
    for name, length, take in wanted:
        if length and only in (None, name):
            note(f"{name}, {length} s")
            results[name] = take(length)
            note(json.dumps(results[name])[:1500])
    return results


def table(results: dict[str, Any]) -> list[str]:
    """The figures for people."""
    rows = []
    if "continuous" in results:
        one = results["continuous"]
        rows.append(
            f"event to ledger, continuous driver, {PER_SECOND}/s for {one['seconds']} s:"
            f" p50 {one['p50']} s, p99 {one['p99']} s ({one['gate']})"
        )
    if "sensors" in results:
        one, every = results["sensors"], results["sensors"]["latency"]["all"]
        rows.append(
            f"event to ledger, sensors, five streams, {PER_SECOND}/s for {one['seconds']} s:"
            f" p50 {every['p50']} s, p99 {every['p99']} s ({one['gate']})"
        )
        rows.append(
            f"Dagster's database: {one['dagster_mb_a_day_before_purge']} MB a day,"
            f" {one['dagster_mb_a_day_after_purge']} MB after its purge ({one['growth_gate']})"
        )
    if "burst" in results:
        one = results["burst"]
        rows.append(
            f"burst: {sum(one['sent'].values()):,} events, lost {one['lost'] or 'none'},"
            f" drained {one['drained_after_seconds']} s later"
        )
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
