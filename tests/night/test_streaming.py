"""The continuous driver under kills, and ten times the load through the sensors: slow, and exact.

Belongs here: the full-size proofs. Does not: their small forms (tests/stack/test_continuous.py),
figures of speed (tests.bench.latency).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

from carbon_ledger.settings import PROJECT_ROOT, load
from carbon_ledger.store.checks import check_accounts, reconcile
from carbon_ledger.store.connect import connect_as_reader
from tests.bench.latency import SHARES, Load, accounts, await_read, burst
from tests.support.dagster_client import wait_for

pytestmark = [pytest.mark.night, pytest.mark.stack, pytest.mark.timeout(3600)]
LOAD_SECONDS = int(os.environ.get("NIGHT_LOAD_SECONDS") or 180)
BURST_SECONDS = int(os.environ.get("NIGHT_BURST_SECONDS") or 120)
# What the processes of a stack on two cores hold in quiet times is a third of this.
RSS_MB_MAX = {"spark": 4_000, "kafka": 1_500, "code-server": 800, "daemon": 800, "load": 1_000}
VICTIMS = ("driver", "spark", "postgres", "driver", "spark", "postgres")
BATCHES_OF_A_DRIVER = "select count(*) from manifest.batch where run_id like 'continuous %'"


class Drivers:
    """`carbon stream run`, started again whenever it was killed."""

    def __init__(self) -> None:
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "cli.main", "stream", "run", "iot_energy"]
        return subprocess.Popen(command, cwd=PROJECT_ROOT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.process = self._start()


@contextmanager
def drivers() -> Iterator[Drivers]:
    found = Drivers()
    try:
        yield found
    finally:
        found.process.terminate()
        found.process.wait(120)


def one(statement: str) -> Any:
    with closing(connect_as_reader(load(), "night", autocommit=True)) as conn:
        row = conn.execute(statement).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def test_whatever_is_killed_beside_a_continuous_driver_its_ledger_is_exact(
    stack: Any,
) -> None:
    before = accounts(load()).get("iot_energy", {"read": 0, "ledgered": 0})
    batches = one(BATCHES_OF_A_DRIVER)
    feed = Load(load(), {"iot_energy": 200})
    with drivers() as driver, ThreadPoolExecutor(1) as pool:
        wait_for(
            "a driver",
            lambda: one("select count(*) from manifest.driver where lease_until > now()"),
            120,
        )
        sending = pool.submit(feed.send, LOAD_SECONDS)
        for victim in VICTIMS:
            time.sleep(LOAD_SECONDS / (len(VICTIMS) + 1))
            if victim == "driver":
                driver.kill()
            else:
                os.kill(stack.pids()[victim], signal.SIGKILL)
        # Raises what sending ended with: what was never sent would not be missed.
        sending.result()
        await_read(load(), {"iot_energy": before["read"] + feed.sent["iot_energy"]})
    after = accounts(load())["iot_energy"]
    assert after["ledgered"] - before["ledgered"] == feed.sent["iot_energy"]
    with closing(connect_as_reader(load(), "night", autocommit=True)) as conn:
        assert check_accounts(conn) == []
        assert reconcile(conn) == []
        twice = conn.execute(
            "select count(*) - count(distinct (kafka_partition, kafka_offset)) from ledger.entry"
            " where stream = 'iot_energy'"
        ).fetchone()
    assert twice == (0,)
    assert one(BATCHES_OF_A_DRIVER) > batches


def test_a_burst_of_ten_times_the_load_drains_without_loss_in_bounded_memory(
    stack: Any,
) -> None:
    found = burst(BURST_SECONDS)
    assert found["lost"] == {}
    assert set(found["sent"]) == set(SHARES)
    assert sum(found["sent"].values()) >= 1_800 * BURST_SECONDS, "the load was not tenfold"
    for name, most in RSS_MB_MAX.items():
        assert found["peak_rss_mb"][name] <= most, (name, found["peak_rss_mb"])
    with closing(connect_as_reader(load(), "night", autocommit=True)) as conn:
        assert reconcile(conn) == []
