"""What Dagster forgets: runs that are old and say nothing that is not said elsewhere, on real
storage."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest

from carbon_assets.retention import Purged, purge_dagster, purge_runs
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import DAGSTER_VARIABLES, read_env_file
from carbon_ledger.store.dagster_storage import purge_check_executions, purge_observations
from carbon_ledger.streams import Stream
from devstack.dagster import write_home
from resources.database import LedgerDatabase
from tests.support.manifest_examples import HOUR, observe, own_stream, plan, sight, work_off
from tests.support.postgres import scratch_database

pytestmark = pytest.mark.stack
HOURS = dg.HourlyPartitionsDefinition(start_date="2026-11-24-00:00", end_offset=100_000)
REPORT = dg.AssetKey(["reports", "of_a_test"])


@pytest.fixture
def instance(stack: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster's storage in a database of its own, where nobody else's runs come and go."""
    written = read_env_file(stack.layout.env_file)
    for name in DAGSTER_VARIABLES:
        monkeypatch.setenv(name, written[name])
    database = f"dagster_{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("DAGSTER_PG_DB", database)
    write_home(stack.layout)
    with psycopg.connect(
        stack.layout.database_url("postgres", "postgres"), autocommit=True
    ) as server:
        server.execute(f"create database {database} owner dagster".encode())
        try:
            with dg.DagsterInstance.get() as found:
                yield found
        finally:
            server.execute(f"drop database {database} with (force)".encode())


class OwnLedger(LedgerDatabase):
    url: str

    @property
    def writer_url(self) -> str:
        return self.url


def run_of(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, hour: str | None) -> str:
    done = dg.materialize([asset], instance=instance, partition_key=hour)
    return done.run_id


def ledger_of(stream: Stream) -> dg.AssetsDefinition:
    @dg.asset(key=dg.AssetKey(stream.ledger_key), partitions_def=HOURS)
    def ledger() -> None: ...

    return ledger


@dg.asset(key=REPORT)
def report() -> None: ...


def newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> Any:
    event = instance.get_latest_materialization_event(key)
    assert event is not None
    return event


def test_old_runs_go_and_what_they_alone_said_is_told_again(
    stack: Any, instance: dg.DagsterInstance
) -> None:
    stream = own_stream()
    with scratch_database(stack.layout.database_url) as ledger:
        with ledger.writer(autocommit=True) as conn:
            observe(conn, stream, sight(5))
            batch = plan(conn, stream, sight(5))
            assert batch is not None
            work_off(conn, batch)
        database = OwnLedger(url=ledger.writer_url)
        of_the_hour = [run_of(instance, ledger_of(stream), HOUR) for _ in range(2)]
        of_the_report = [run_of(instance, report, None) for _ in range(2)]
        purged_inside: list[Purged] = []

        def purge(keep: timedelta = timedelta(0)) -> Purged:
            now = datetime.now(UTC) + timedelta(seconds=1)
            return purge_runs(instance, database, now, [stream], keep=keep, keep_failed=keep)

        assert purge(timedelta(hours=1)).runs_deleted == 0, "nothing is that old"

        @dg.asset
        def under_way() -> None:
            purged_inside.append(purge())

        own = run_of(instance, under_way, None)
        (done,) = purged_inside
        assert done.hours_told == 1
        there = {run for run in (*of_the_hour, *of_the_report, own) if instance.has_run(run)}
        assert there == {of_the_report[1], own}, "the newest report, and the run under way"
        told = newest(instance, dg.AssetKey(stream.ledger_key))
        assert told.run_id == ""
        made = told.asset_materialization
        assert made.partition == HOUR
        assert made.metadata["read"].value == 5
        assert newest(instance, REPORT).run_id == of_the_report[1]
        again = purge()
        assert (again.runs_deleted, again.hours_told) == (0, 0)
        assert newest(instance, dg.AssetKey(stream.ledger_key)).run_id == ""


def age_runs(days: int) -> None:
    """Every run of the test's storage is that much older."""
    with dagster_database() as conn:
        conn.execute(
            "update runs set create_timestamp = create_timestamp - make_interval(days => %s)",
            (days,),
        )


def test_the_job_deletes_runs_and_events_that_are_older_than_a_day(
    stack: Any, instance: dg.DagsterInstance
) -> None:
    old = [run_of(instance, report, None) for _ in range(3)]
    age_runs(2)
    young = run_of(instance, report, None)
    with scratch_database(stack.layout.database_url) as ledger:
        database = OwnLedger(url=ledger.writer_url)
        done = purge_dagster.execute_in_process(instance=instance, resources={"database": database})
    assert done.success
    assert [instance.has_run(one) for one in old] == [False] * 3
    assert [list(instance.all_logs(one)) for one in old] == [[]] * 3
    assert instance.has_run(young)
    assert instance.has_run(done.run_id)


def test_of_old_observations_the_newest_stays(instance: dg.DagsterInstance) -> None:
    keys = [dg.AssetKey(["raw", name]) for name in ("a_test", "another")]
    for key in keys:
        for number in range(3):
            seen = dg.AssetObservation(key, metadata={"lag_records": number})
            instance.report_runless_asset_event(seen)
    assert purge_observations(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert purge_observations(datetime.now(UTC) + timedelta(seconds=1)) >= 4
    for key in keys:
        found = instance.fetch_observations(key, limit=5).records
        assert [one.asset_observation.metadata["lag_records"].value for one in found] == [2]


@dg.asset(
    key=dg.AssetKey(["reports", "of_checks"]),
    check_specs=[
        dg.AssetCheckSpec(name, asset=dg.AssetKey(["reports", "of_checks"]))
        for name in ("good", "bad")
    ],
)
def checked() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(check_name=name, passed=name == "good") for name in ("good", "bad")
        ]
    )


def dagster_database() -> psycopg.Connection[Any]:
    """The database of the test's storage."""
    names = {"host": "HOST", "port": "PORT", "dbname": "DB"}
    names |= {"user": "USERNAME", "password": "PASSWORD"}
    given = {key: os.environ[f"DAGSTER_PG_{name}"] for key, name in names.items()}
    return psycopg.connect(**given, autocommit=True)


def check_results() -> list[tuple[str, str]]:
    """Check and status of every result that Dagster has, the oldest first."""
    with dagster_database() as conn:
        return conn.execute(
            "select check_name, execution_status from asset_check_executions order by id"
        ).fetchall()


def test_of_old_results_of_checks_the_newest_stays_and_failed_ones_stay_longer(
    instance: dg.DagsterInstance,
) -> None:
    for _ in range(3):
        run = run_of(instance, checked, None)
        instance.delete_run(run)
    assert sorted(check_results()) == [("bad", "FAILED")] * 3 + [("good", "SUCCEEDED")] * 3, (
        "they stay though their runs are gone"
    )
    later, earlier = (datetime.now(UTC) + timedelta(hours=sign) for sign in (1, -1))
    assert purge_check_executions(earlier, earlier) == 0
    assert purge_check_executions(later, earlier) == 2
    assert sorted(check_results()) == [("bad", "FAILED")] * 3 + [("good", "SUCCEEDED")]
    assert purge_check_executions(later, later) == 2
    assert sorted(check_results()) == [("bad", "FAILED"), ("good", "SUCCEEDED")]
    # Planned, and nothing came of it: neither of a check nor of a partition.
    plan = (
        "insert into asset_check_executions (asset_key, check_name, partition, execution_status,"
        " evaluation_event_timestamp) select asset_key, check_name, %s, 'PLANNED', now()"
        " from asset_check_executions where check_name = 'good' limit 1"
    )
    with dagster_database() as conn:
        for partition in (None, "2025", "2025"):
            conn.execute(plan, (partition,))
    assert purge_check_executions(later, later) == 1
    assert sorted(check_results()) == [
        ("bad", "FAILED"),
        ("good", "PLANNED"),
        ("good", "PLANNED"),
        ("good", "SUCCEEDED"),
    ], "the last word of each check and partition, and the last result"


def test_without_dagsters_variables_the_purge_says_which() -> None:
    with pytest.raises(ConfigurationError, match="DAGSTER_PG_HOST"):
        purge_observations(datetime.now(UTC), {})
