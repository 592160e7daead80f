"""Reports that are due are made once, as known when they were due, on a real database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from carbon_assets import periods, report_runs, reports
from carbon_assets.definitions import build_definitions
from carbon_assets.report_runs import ReportConfig
from carbon_ledger.organisation.report_calendar import Due
from carbon_ledger.store.report_schedules import (
    coming_reports,
    missing_reports,
    scheduled_reports,
)
from carbon_ledger.store.report_snapshots import find_snapshots, read_snapshot
from cli.report_commands import report as report_command
from sensors.report_schedules import (
    ORGANIZATION_TAG,
    WAIT_FIRST,
    WAIT_MAX,
    Attempts,
    is_attempt_due,
    plan_due,
)
from tests.support.asset_database import resource_of
from tests.support.entries_posted import line, post
from tests.support.postgres import Connection, LedgerDatabase, scratch_database
from tests.support.report_calendars import calendar, month_due, state

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
NOW = datetime.now(UTC)


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        yield found


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


def definitions(database: LedgerDatabase) -> dg.Definitions:
    resource = resource_of(database)
    return build_definitions(resources={"database": resource})


def tick(
    database: LedgerDatabase, instance: dg.DagsterInstance, name: str
) -> list[dg.ExecuteInProcessResult]:
    """What the schedule asks for at a tick, and the runs of it, in this process."""
    defs = definitions(database)
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime.now(UTC),
        repository_def=defs.get_repository_def(),
    ) as context:
        asked = defs.resolve_schedule_def(name).evaluate_tick(context)
    job = defs.resolve_job_def(f"report_{name}")
    return [
        job.execute_in_process(
            run_config=one.run_config,
            partition_key=one.partition_key,
            tags=dict(one.tags),
            instance=instance,
            raise_on_error=False,
        )
        for one in asked.run_requests or []
    ]


def due_moment() -> datetime:
    """Two minutes ago, on the minute; yesterday's last where that is another day or month."""
    moment = (datetime.now(UTC) - timedelta(minutes=2)).replace(second=0, microsecond=0)
    return moment


def test_what_was_due_while_nobody_ticked_is_made_once_and_as_of_then(
    database: LedgerDatabase,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    moment = due_moment()
    year = moment.year - 1
    rows = [
        line(0, "1000", occurred_from=datetime(year, 3, 1, tzinfo=UTC), recorded_at=moment),
        line(1, "70", scope=1, occurred_from=datetime(year, 3, 1, tzinfo=UTC)),
    ]
    post(database, [rows[0]], recorded_at=moment - timedelta(hours=1))
    state(database, calendar("default", moment, "annual_csrd", "annual_cdp"))
    # It comes after the moment and before anybody asks: late, and in no report of then.
    post(database, [rows[1]])

    with closing(database.reader()) as conn:
        assert [(one.schedule, one.period, one.due_at) for one in missing_reports(conn)] == [
            ("annual_cdp", str(year), moment),
            ("annual_csrd", str(year), moment),
        ]
    (run,) = tick(database, instance, "annual_csrd")
    assert run.success
    assert tick(database, instance, "annual_csrd") == []
    (other,) = tick(database, instance, "annual_cdp")
    assert other.success
    with closing(database.reader()) as conn:
        assert missing_reports(conn) == []
        made = {one.report: one for one in scheduled_reports(conn, moment)}
        assert set(made) == {"esrs_e1", "cdp"}
        assert {one.due_at for one in made.values()} == {moment}
        assert made["esrs_e1"].run_id == run.run_id
        kept = {name: read_snapshot(conn, one.snapshot_id) for name, one in made.items()}  # type: ignore[arg-type]
    assert {one.as_of for one in kept.values()} == {moment}
    assert {one.kept_because for one in kept.values()} == {"scheduled"}
    assert kept["esrs_e1"].opened().cells()["E1-6/scope_1/current"].value is None

    # By hand, at the same moment, the same bytes.
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", database.reader_url)
    for command, name in (("esrs-e1", "esrs_e1"), ("cdp", "cdp")):
        out = tmp_path / f"{name}.json"
        words = [command, "--year", str(year), "--as-of", moment.isoformat(), "--format", "json"]
        done = CliRunner().invoke(report_command, [*words, "--out", str(out)])
        assert done.exit_code == 0, done.output
        assert out.read_text().rstrip("\n") == kept[name].content.rstrip("\n")


def test_a_month_brings_both_reports_and_how_periods_stand(
    database: LedgerDatabase, instance: dg.DagsterInstance
) -> None:
    moment = due_moment()
    ended, _ = month_due(moment)
    day = datetime(ended.year, 1, 2, tzinfo=UTC)
    post(database, [line(0, "5", occurred_from=day)], recorded_at=moment - timedelta(hours=1))
    state(database, calendar("default", moment, "monthly_accrual"))
    (run,) = tick(database, instance, "monthly_accrual")
    assert run.success
    made = {one.asset_key for one in run.get_asset_materialization_events()}
    assert made == {reports.KEY, reports.CDP_KEY, periods.KEY}
    (status,) = run.asset_materializations_for_node("periods__status")
    lacking = str(status.metadata["in_the_way"].value)
    # Due on its last days, the month is not over; due after it, it may be closed.
    assert (r"not\_over" in lacking) == (ended.month == moment.month), lacking
    with closing(database.reader()) as conn:
        found = scheduled_reports(conn, moment)
    assert {(one.report, one.period) for one in found} == {
        ("esrs_e1", f"{ended:%Y-%m}"),
        ("cdp", f"{ended:%Y-%m}"),
    }


def test_a_year_without_entries_is_done_too(
    database: LedgerDatabase, instance: dg.DagsterInstance
) -> None:
    moment = due_moment()
    state(database, calendar("default", moment, "annual_csrd"))
    (run,) = tick(database, instance, "annual_csrd")
    assert run.success
    with closing(database.reader()) as conn:
        (made,) = scheduled_reports(conn, moment)
        assert (made.snapshot_id, missing_reports(conn)) == (None, [])
    assert tick(database, instance, "annual_csrd") == []


def test_what_failed_is_asked_for_again_and_what_was_made_of_it_is_not_made_twice(
    database: LedgerDatabase, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = due_moment()
    ended, _ = month_due(moment)
    day = datetime(ended.year, 1, 2, tzinfo=UTC)
    post(database, [line(0, "5", occurred_from=day)], recorded_at=moment - timedelta(hours=1))
    state(database, calendar("default", moment, "monthly_accrual"))
    with monkeypatch.context() as broken:
        broken.setattr("carbon_ledger.reporting.cdp.cdp", _breaks)
        (first,) = tick(database, instance, "monthly_accrual")
    assert not first.success
    with closing(database.reader()) as conn:
        assert [one.report for one in scheduled_reports(conn, moment)] == ["esrs_e1"]
    assert tick(database, instance, "monthly_accrual") == [], "a moment ago"
    monkeypatch.setattr("sensors.report_schedules.WAIT_FIRST", timedelta(0))
    (second,) = tick(database, instance, "monthly_accrual")
    assert second.success
    with closing(database.reader()) as conn:
        made = scheduled_reports(conn, moment)
        kept = find_snapshots(conn, report="esrs_e1")
    assert {one.report: one.run_id for one in made} == {
        "esrs_e1": first.run_id,
        "cdp": second.run_id,
    }
    assert len(kept) == 1


def _breaks(inputs: Any) -> Any:
    raise LookupError(f"planted in {inputs.organization_id}")


def test_one_organization_that_fails_stops_no_other_and_is_named(
    database: LedgerDatabase, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = datetime(2024, 3, 1, tzinfo=UTC)
    post(
        database,
        [line(n, "5", occurred_from=day, organization_id=name) for n, name in enumerate("abc")],
    )
    from carbon_ledger.reporting import esrs_e1

    real = esrs_e1.esrs_e1

    def fails_for_a(inputs: Any) -> Any:
        return _breaks(inputs) if inputs.organization_id == "a" else real(inputs)

    with monkeypatch.context() as broken:
        broken.setattr("carbon_ledger.reporting.esrs_e1.esrs_e1", fails_for_a)
        done = materialized(database, instance)
    assert not done.success
    (failure,) = [one for one in done.all_events if one.is_step_failure]
    said = failure.step_failure_data.user_failure_data
    assert said is not None
    assert said.description is not None
    assert "a: LookupError: planted in a" in said.description
    assert said.metadata["failed"].value == ["a"]
    with closing(database.reader()) as conn:
        kept = {one.organization_id for one in find_snapshots(conn, report="esrs_e1")}
    assert kept == {"b", "c"}
    assert {one.check_name for one in done.get_asset_check_evaluations()} == {
        reports.EQUAL_CHECK,
        reports.GROSS_CHECK,
        reports.TOTALS_CHECK,
    }


def test_inputs_that_cannot_be_read_of_one_stop_no_other(
    database: LedgerDatabase, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = datetime(2024, 3, 1, tzinfo=UTC)
    post(
        database,
        [line(n, "5", occurred_from=day, organization_id=name) for n, name in enumerate("ab")],
    )
    from carbon_ledger.store import report_inputs

    real = report_inputs.base_year_of

    def fails_for_a(register: Any, organization: str, year: int) -> Any:
        if organization == "a":
            raise ValueError("planted")
        return real(register, organization, year)

    monkeypatch.setattr("carbon_ledger.store.report_inputs.base_year_of", fails_for_a)
    assert not materialized(database, instance).success
    with closing(database.reader()) as conn:
        assert {one.organization_id for one in find_snapshots(conn, report="esrs_e1")} == {"b"}


def materialized(
    database: LedgerDatabase, instance: dg.DagsterInstance, **config: str
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [reports.esrs_e1],
        instance=instance,
        partition_key="2024",
        resources={"database": resource_of(database)},
        run_config={"ops": {"reports__esrs_e1": {"config": config}}},
        raise_on_error=False,
    )


REFUSED: list[tuple[Mapping[str, str], str]] = [
    ({"as_of": "last Tuesday"}, "valid is a moment such as"),
    (
        {"schedule": "annual_csrd", "period": "2024", "as_of": "2025-02-17T06:00:00Z"},
        "is not due; `carbon report schedule`",
    ),
]


@pytest.mark.parametrize(("config", "said"), REFUSED)
def test_what_nobody_stated_is_not_made_as_if_it_were_due(
    database: LedgerDatabase, instance: dg.DagsterInstance, config: Mapping[str, str], said: str
) -> None:
    done = materialized(database, instance, **{"organization": "default", **config})
    (failure,) = [one for one in done.all_events if one.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert said in (told.description or "")


def test_nothing_is_published_while_entries_fail_their_expectations(
    database: LedgerDatabase, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(database, [line(0, "5", occurred_from=datetime(2024, 3, 1, tzinfo=UTC))])
    with closing(database.writer(autocommit=True)) as conn:
        failed_validation(conn, "warning")
    assert materialized(database, instance).success
    with closing(database.writer(autocommit=True)) as conn:
        failed_validation(conn, "critical")
    done = materialized(database, instance)
    assert not done.success
    (failure,) = [one for one in done.all_events if one.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "entries 2026-01-01T00:00:00Z" in (told.description or "")
    with closing(database.reader()) as conn:
        assert len(find_snapshots(conn, report="esrs_e1")) == 1

    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    words = ["esrs-e1", "--year", "2024", "--keep"]
    by_hand = CliRunner().invoke(report_command, words)
    assert by_hand.exit_code != 0
    assert getattr(by_hand.exception, "code", None) == "quality_failing"


def failed_validation(conn: Connection, severity: str) -> None:
    """Evidence that a unit of the entries failed."""
    conn.execute(
        "insert into audit.validation (validation_id, suite, suite_version, suite_sha256, target,"
        " unit, as_of, is_success, worst_severity, expectations, rows_validated, failures,"
        " statistics, engine, code_version, run_id) values (gen_random_uuid(), 'entries', 1,"
        " sha256('x'), 'ledger.entry', '2026-01-01T00:00:00Z', now(), false, %s, 1, 1,"
        " %s, '{}', 't', 't', 't')",
        (severity, '[{"expectation": "x", "severity": "critical", "streams": null}]'),
    )


DUE = Due(
    organization_id="default",
    schedule="annual_csrd",
    period="2025",
    fiscal_year=2025,
    first_date=datetime(2025, 1, 1).date(),  # noqa: DTZ001 - a day
    end_date=datetime(2026, 1, 1).date(),  # noqa: DTZ001 - a day
    due_at=datetime(2026, 2, 16, 6, tzinfo=UTC),
)


def test_after_a_failure_each_attempt_waits_longer() -> None:
    tried = [Attempts(number=n, last_at=NOW) for n in (1, 2, 50)]
    waits = [WAIT_FIRST, 2 * WAIT_FIRST, WAIT_MAX]
    for one, wait in zip(tried, waits, strict=True):
        assert not is_attempt_due(one, NOW + wait - timedelta(seconds=1))
        assert is_attempt_due(one, NOW + wait)
    assert not is_attempt_due(Attempts(number=1, is_running=True, last_at=NOW), NOW + WAIT_MAX)
    (asked,) = plan_due([DUE], {DUE: tried[0]}, ["reports__esrs_e1"], NOW + WAIT_FIRST)
    assert asked.run_key == "default annual_csrd 2025 2026-02-16T06:00:00+00:00 2"
    assert asked.tags[ORGANIZATION_TAG] == "default"
    assert asked.partition_key == "2025"


def test_what_is_next_is_told(database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    state(
        database,
        "report_schedule:\n  - {organization_id: default, schedule: monthly_accrual, "
        "time_zone: Europe/Berlin, working_day: 5}\n",
    )
    with closing(database.reader()) as conn:
        (coming,) = coming_reports(conn)
        missing = missing_reports(conn)
    assert coming.due_at > NOW
    assert 11 <= len(missing) <= 14, "a year of months, and a little more"
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", database.reader_url)
    shown = CliRunner().invoke(report_command, ["schedule"])
    assert shown.exit_code == 0, shown.output
    assert f"{coming.period}" in shown.output
    assert "missing" in shown.output


def test_a_config_may_say_nothing() -> None:
    assert ReportConfig().moment is None
    assert report_runs.ASKED_BY_A_SENSOR == "dagster/sensor_name"
