"""The graph as Dagster runs it: web server, daemon, code server, Spark, Kafka and PostgreSQL, all
real."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carbon_ledger import settings
from carbon_ledger.planning import arrival_partition
from carbon_ledger.settings import read_env_file
from carbon_ledger.store.checks import check_accounts, reconcile
from carbon_ledger.store.connect import connect_as_reader
from pipeline.producers import CarbonEventProducer, IoTEnergyEvent
from tests.support.dagster_client import DagsterClient, dagster_command, wait_for
from tests.support.postgres import Connection

pytestmark = [pytest.mark.stack, pytest.mark.daemon, pytest.mark.timeout(600)]

TOPIC = "raw.iot.energy"
LEDGERED_SECONDS = 120.0
DAY = datetime(2025, 3, 10, 12, tzinfo=UTC)


@dataclass
class Plant:
    """Meters nobody else has, and what became of their readings."""

    dagster: DagsterClient
    conn: Connection
    stack: Any
    name: str

    def send(self, first: int, last: int) -> None:
        """Readings number `first` to `last`, one per minute from noon on."""
        servers = settings.load()["CARBON_KAFKA_BOOTSTRAP_SERVERS"]
        with CarbonEventProducer(bootstrap_servers=servers) as producer:
            for number in range(first, last):
                event = IoTEnergyEvent(
                    f"{self.name}-m{number % 7}",
                    self.name,
                    "DE",
                    f"{number}.125",
                    "grid",
                    None,
                    DAY + timedelta(minutes=number),
                    interval_seconds=60,
                )
                producer.send(TOPIC, key=event.sensor_id, value=event)

    def entries(self) -> int:
        row = self.conn.execute(
            "select count(*) from ledger.iot_energy where facility_id = %s", (self.name,)
        ).fetchone()
        assert row is not None
        return int(row[0])

    def await_entries(self, count: int, seconds: float = LEDGERED_SECONDS) -> None:
        """Until so many are there; then none may be there twice."""
        wait_for(f"{count} entries", lambda: self.entries() >= count, seconds)
        assert self.entries() == count

    def batches(self) -> list[int]:
        rows = self.conn.execute(
            "select distinct batch_id from ledger.iot_energy where facility_id = %s order by 1",
            (self.name,),
        ).fetchall()
        return [row[0] for row in rows]

    def lines_of_all(self) -> tuple[int, int, int]:
        """Entries, identities and accounts of all records; a sensor posts per period meanwhile."""
        row = self.conn.execute(
            "select (select count(*) from ledger.entry where stream <> 'period_postings'),"
            " (select count(*) from ledger.event_identity"
            " where event_id not like 'category3:%' and event_id not like 'market:%'),"
            " (select count(*) from ledger.batch_part)"
        ).fetchone()
        assert row is not None
        return row[0], row[1], row[2]

    def await_quiet(self) -> None:
        """Until no batch is open."""
        wait_for(
            "end of all batches",
            lambda: (
                self.conn.execute(
                    "select not exists (select from manifest.batch"
                    " where status in ('planned', 'running'))"
                ).fetchone()
                == (True,)
            ),
            LEDGERED_SECONDS,
        )

    def run_of(self, batch_id: int) -> str:
        row = self.conn.execute(
            "select run_id from manifest.batch where batch_id = %s", (batch_id,)
        ).fetchone()
        assert row is not None
        return str(row[0])


@pytest.fixture
def plant(stack: Any) -> Iterator[Plant]:
    with connect_as_reader(settings.load(), "tests", autocommit=True) as conn:
        yield Plant(
            dagster=DagsterClient(stack.layout.port("dagster")),
            conn=conn,
            stack=stack,
            name=f"plant-{uuid.uuid4().hex[:8]}",
        )


def test_a_reading_becomes_an_entry_and_its_run_says_what_it_did(plant: Plant) -> None:
    plant.send(0, 40)
    plant.send(35, 40)  # five of them again
    plant.await_entries(40)
    plant.await_quiet()
    batch_id = plant.batches()[-1]
    run_id = plant.run_of(batch_id)
    wait_for("success of the run", lambda: plant.dagster.run_status(run_id) == "SUCCESS", 30)
    found = plant.dagster.materializations("ledger", "iot_energy")
    (made,) = [one for one in found if one["run_id"] == run_id]
    facts = made["metadata"]
    parts = ("ledgered", "duplicate", "dead_lettered", "quarantined")
    assert facts["read"] == sum(facts[name] for name in parts)
    assert facts["lines"] >= facts["ledgered"] > 0
    assert facts["lag_seconds_max"] > 0
    for name in ("offsets", "factor_release", "code_version", "archive_objects", "local_days"):
        assert facts[name], name
    row = plant.conn.execute(
        "select arrival_partition from manifest.batch where batch_id = %s", (batch_id,)
    ).fetchone()
    assert row == (made["partition"],)
    assert plant.dagster.check(["ledger", "iot_energy"], "accounts_balance")[0] is True
    days = [one["partition"] for one in plant.dagster.materializations("windows", "daily")]
    assert "2025-03-10" in days


def test_a_changed_year_gets_its_report_without_a_hand(plant: Plant) -> None:
    plant.send(0, 10)
    plant.await_entries(10)
    plant.await_quiet()
    row = plant.conn.execute(
        "select max(finished_at) from manifest.batch where status = 'done'"
    ).fetchone()
    assert row is not None
    finished = row[0]
    wait_for(
        "report of 2025 with these entries",
        lambda: plant.conn.execute(
            "select 1 from reports.esrs_e1 where fiscal_year = 2025 and as_of >= %s limit 1",
            (finished,),
        ).fetchone(),
        LEDGERED_SECONDS,
    )
    wait_for(
        "materialization of the report",
        lambda: any(
            one["partition"] == "2025" and "| organization |" in (one["metadata"]["report"] or "")
            for one in plant.dagster.materializations("reports", "esrs_e1")
        ),
        30,
    )
    assert plant.dagster.check(["reports", "esrs_e1"], "report_equals_ledger")[0] is True


def test_the_topic_says_how_far_behind_the_ledger_is(plant: Plant) -> None:
    plant.send(0, 5)
    plant.await_entries(5)
    (newest, *_) = wait_for(
        "observation", lambda: plant.dagster.observations("raw", "iot_energy"), 60
    )
    assert {"lag_records", "end_offsets", "committed_offsets"} <= set(newest)


def test_a_lost_cursor_and_a_strange_one_change_nothing(plant: Plant) -> None:
    """The cursor is a hint: what is claimed and what is next is in PostgreSQL."""
    plant.send(0, 20)
    plant.dagster.set_cursor("plan_iot_energy", None)
    plant.await_entries(20)
    plant.dagster.set_cursor("plan_iot_energy", "12:1")
    plant.send(20, 40)
    plant.await_entries(40)
    plant.await_quiet()
    assert reconcile(plant.conn) == []


def test_a_partition_rebuilt_on_the_command_line_adds_nothing(plant: Plant) -> None:
    plant.send(0, 30)
    plant.await_entries(30)
    plant.await_quiet()
    before = plant.lines_of_all()
    variables = read_env_file(plant.stack.layout.env_file)
    dagster_command(
        variables,
        "asset",
        "materialize",
        "-m",
        "carbon_assets.definitions",
        "--select",
        "ledger/iot_energy",
        "--partition",
        arrival_partition(datetime.now(UTC)),
    )
    assert plant.lines_of_all() == before
    facts = plant.dagster.materializations("ledger", "iot_energy", limit=1)[0]["metadata"]
    assert facts["rebuild_would_post"] == 0
    assert facts["rebuild_known"] >= 0


def test_a_backfill_of_two_partitions_adds_nothing(plant: Plant) -> None:
    plant.send(0, 30)
    plant.await_entries(30)
    plant.await_quiet()
    before = plant.lines_of_all()
    now = datetime.now(UTC)
    hours = [arrival_partition(now - timedelta(hours=1)), arrival_partition(now)]
    backfill_id = plant.dagster.backfill(["ledger", "iot_energy"], hours)
    wait_for(
        "end of the backfill",
        lambda: plant.dagster.backfill_status(backfill_id).startswith(("COMPLETED", "FAILED")),
        240,
    )
    assert plant.dagster.backfill_status(backfill_id) == "COMPLETED_SUCCESS"
    assert plant.lines_of_all() == before
    assert check_accounts(plant.conn, plant.batches()) == []


def test_a_killed_run_worker_is_replaced_within_a_minute_and_nothing_is_doubled(
    plant: Plant,
) -> None:
    plant.await_quiet()
    plant.send(0, 3000)
    running = wait_for(
        "batch under way",
        lambda: plant.conn.execute(
            "select batch_id, attempt, run_id from manifest.batch where status = 'running'"
        ).fetchone(),
        LEDGERED_SECONDS,
    )
    pids = wait_for("process of the run", lambda: plant.dagster.run_pids(running[2]), 30)
    os.kill(pids[0], signal.SIGKILL)
    killed_at = time.monotonic()
    wait_for(
        "another attempt that finished the batch",
        lambda: plant.conn.execute(
            "select 1 from manifest.batch where batch_id = %s and attempt > %s and status = 'done'",
            (running[0], running[1]),
        ).fetchone(),
        60,
    )
    assert time.monotonic() - killed_at < 60
    plant.await_entries(3000)
    plant.await_quiet()
    assert reconcile(plant.conn) == []
    assert check_accounts(plant.conn, plant.batches()) == []
    assert plant.dagster.run_status(running[2]) == "FAILURE"
