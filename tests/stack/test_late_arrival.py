"""What is asked for after data of one day came late: that day's windows and that year's reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from carbon_assets.definitions import build_definitions
from carbon_ledger.store import manifest
from carbon_ledger.store.upkeep import verify_windows
from sensors.windows import RANGE_TAGS
from tests.support.asset_database import resource_of
from tests.support.entries_posted import line, post
from tests.support.manifest_examples import commit, observe, own_stream, plan, sight
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
DAYS = (date(2023, 12, 31), date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 3))
LATE = date(2024, 3, 2)


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        yield found


@pytest.fixture
def definitions(database: LedgerDatabase) -> dg.Definitions:
    resource = resource_of(database)
    return build_definitions(resources={"database": resource})


def arrive(database: LedgerDatabase, conn: Connection, first: int, *days: date) -> None:
    """A batch that posted an entry on each of the days, and is done."""
    rows = [
        line(first + n, "5", occurred_from=datetime(d.year, d.month, d.day, 12, tzinfo=UTC))
        for n, d in enumerate(days)
    ]
    post(database, rows)
    stream, seen = own_stream(), sight(10)
    observe(conn, stream, seen)
    batch = plan(conn, stream, seen)
    assert batch is not None
    commit(conn, batch)
    for day in days:
        conn.execute("insert into manifest.batch_window values (%s, %s)", (batch.batch_id, day))
    manifest.finish_batch(conn, batch.batch_id, batch.attempt)


def asked(definitions: dg.Definitions, name: str, instance: dg.DagsterInstance) -> Any:
    """What the sensor asks for at a tick, an hour after it last asked."""
    cursor = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=definitions.get_repository_def()
    )
    return definitions.resolve_sensor_def(name).evaluate_tick(context).run_requests or []


def test_a_day_that_came_late_asks_for_that_day_and_that_year_alone(
    database: LedgerDatabase, definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.windows.REPORTS_EVERY", timedelta(0))
    reports = definitions.get_repository_def().assets_defs_by_key[
        dg.AssetKey(["reports", "esrs_e1"])
    ]
    with (
        closing(database.writer(autocommit=True)) as conn,
        dg.instance_for_test() as instance,
    ):
        arrive(database, conn, 0, *DAYS)
        ranges = [
            one.tags[RANGE_TAGS[0]] for one in asked(definitions, "compare_windows", instance)
        ]
        assert ranges == ["2023-12-31", "2024-03-01"], "two runs of days"
        years = [one.partition_key for one in asked(definitions, "build_reports", instance)]
        assert years == ["2023", "2024"]

        verify_windows(conn, list(DAYS), "test")
        for year in years:
            assert dg.materialize([reports], instance=instance, partition_key=year).success
        assert asked(definitions, "compare_windows", instance) == []
        assert asked(definitions, "build_reports", instance) == []

        arrive(database, conn, 100, LATE)
        (day,) = asked(definitions, "compare_windows", instance)
        assert (day.tags[RANGE_TAGS[0]], day.tags[RANGE_TAGS[1]]) == ("2024-03-02", "2024-03-02")
        (year_asked,) = asked(definitions, "build_reports", instance)
        assert year_asked.partition_key == "2024"

        failing = definitions.resolve_job_def("reports").execute_in_process(
            instance=instance,
            partition_key="2024",
            run_config={"ops": {"reports__esrs_e1": {"config": {"as_of": "never"}}}},
            raise_on_error=False,
        )
        assert not failing.success
        assert asked(definitions, "build_reports", instance) == [], "not again at once"
        monkeypatch.setattr("sensors.windows.AFTER_FAILURE", timedelta(0))
        assert len(asked(definitions, "build_reports", instance)) == 1
        conn.execute(
            "insert into audit.validation (validation_id, suite, suite_version, suite_sha256,"
            " target, unit, as_of, is_success, worst_severity, expectations, rows_validated,"
            " failures, statistics, engine, code_version, run_id) values (gen_random_uuid(),"
            " 'windows', 1, sha256('x'), 'windows.five_minute', '2024-03-02', now(), false,"
            " 'critical', 1, 1, '[{}]', '{}', 't', 't', 't')"
        )
        assert asked(definitions, "build_reports", instance) == [], "nor on data that fail"
