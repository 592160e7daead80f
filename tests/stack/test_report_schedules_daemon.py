"""A report that was due while Dagster's daemon was dead is made by the one that comes after it."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from carbon_ledger import settings
from carbon_ledger.store.connect import connect_as_reader
from carbon_ledger.store.report_schedules import Scheduled, scheduled_reports
from carbon_ledger.store.run_failures import run_failures
from tests.support.dagster_client import DagsterClient, wait_for
from tests.support.postgres import LedgerDatabase
from tests.support.report_calendars import calendar, state
from tests.support.stack_fixture import set_daemon

pytestmark = [pytest.mark.stack, pytest.mark.daemon, pytest.mark.timeout(1500)]
# Longer than from one tick to the next: whole ticks are missed.
DOWN_SECONDS = 65.0
MADE_SECONDS = 420.0


def test_what_was_due_while_the_daemon_was_dead_is_made_by_the_next_one(stack: Any) -> None:
    organization = f"company-{uuid.uuid4().hex[:8]}"
    database = LedgerDatabase.named(stack.layout.database_url, "carbon")
    # It has no entries: one that no batch posted would fail the expectations of this ledger.
    # Stopped before it is killed, so that no tick comes between.
    set_daemon(stack, at_work=False)
    moment = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    state(database, calendar(organization, moment, "annual_csrd"))
    time.sleep((moment - datetime.now(UTC)).total_seconds() + DOWN_SECONDS)
    killed = stack.pids()["daemon"]
    psutil.Process(killed).kill()

    with closing(connect_as_reader(settings.load(), "tests", autocommit=True)) as conn:

        def made() -> list[Scheduled]:
            return [
                one
                for one in scheduled_reports(conn, moment)
                if one.organization_id == organization
            ]

        (report,) = wait_for("report that was due", made, MADE_SECONDS)
        assert (report.report, report.due_at) == ("esrs_e1", moment)
        assert stack.pids()["daemon"] != killed
        assert report.snapshot_id is None
    dagster = DagsterClient(stack.layout.port("dagster"))
    wait_for("end of the run", lambda: dagster.run_status(report.run_id) == "SUCCESS", 60)
    key = ("reports", "esrs_e1")
    (told,) = [m for m in dagster.materializations(*key) if m["run_id"] == report.run_id]
    assert told["metadata"]["fiscal_year"] == moment.year - 1
    wait_for("verdict on freshness", lambda: freshness(dagster, *key) == "HEALTHY", 120)


def freshness(dagster: DagsterClient, *key: str) -> str:
    """What the web UI says of an asset's age."""
    data = dagster.ask(
        "query($key: [String!]!) { assetNodeOrError(assetKey: {path: $key}) { ... on AssetNode {"
        " freshnessStatusInfo { freshnessStatus } } } }",
        key=list(key),
    )
    return str(data["assetNodeOrError"]["freshnessStatusInfo"]["freshnessStatus"])


def test_a_run_that_fails_is_written_down_by_the_daemon_s_sensor(stack: Any) -> None:
    dagster = DagsterClient(stack.layout.port("dagster"))
    data = dagster.ask(
        """
        mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
          __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
          ... on RunConfigValidationInvalid { errors { message } } } }
        """,
        params={
            "selector": {**dagster.location(), "jobName": "reports"},
            "runConfigData": {
                "ops": {"reports__esrs_e1": {"config": {"as_of": "last Tuesday"}}},
            },
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "2018"}]},
        },
    )
    assert data["launchRun"]["__typename"] == "LaunchRunSuccess", data
    run_id = data["launchRun"]["run"]["runId"]
    with closing(connect_as_reader(settings.load(), "tests", autocommit=True)) as conn:
        since = datetime.now(UTC) - timedelta(hours=1)

        def found() -> Any:
            return [one for one in run_failures(conn, since) if one.run_id == run_id]

        (failure,) = wait_for("failed run in the table", found, MADE_SECONDS)
    assert failure.job == "reports"
    assert failure.part == "partition 2018"
    assert "last Tuesday" in failure.error
    seen = wait_for(
        "observation", lambda: dagster.observations("audit", "run_failures"), MADE_SECONDS
    )
    assert seen
