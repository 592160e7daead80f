"""How ticks become requests: keys that exist, one request, a cursor that is only a hint."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from carbon_assets.definitions import build_definitions
from carbon_assets.partitions import (
    ACTIVITY_DAYS,
    ARRIVAL_HOURS,
    FISCAL_YEARS,
    day_ranges,
    existing_days,
)
from carbon_ledger.planning import PartitionProgress, StreamState, TopicSight
from carbon_ledger.store.upkeep import YearDue
from carbon_ledger.streams import STREAMS
from sensors import planner
from sensors.planner import (
    Tick,
    is_report_due,
    no_run_loads,
    outlook_of,
    requests_of,
    result_of,
)
from sensors.windows import (
    RANGE_TAGS,
    RANGES_MAX,
    is_comparison_due,
    is_time,
    plan_reports,
    plan_windows,
)

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
STREAM = STREAMS[0]
STATE = StreamState(
    stream=STREAM.name,
    topic=STREAM.topic,
    topic_id="A",
    pending_since=NOW - timedelta(seconds=4),
    progress={0: PartitionProgress(first=0, planned=80, committed=50)},
)
SIGHT = TopicSight(topic_id="A", offsets={0: (0, 100)})


def tick(**changes: object) -> Tick:
    fields = {
        "sentence": "batch 12 claims 3 offsets",
        "batch_id": 12,
        "attempt": 2,
        "arrival_partition": "2026-11-24-10:00",
        "state": STATE,
        "sight": SIGHT,
        "now": NOW,
    }
    return Tick(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_batch_is_requested_by_number_and_attempt_in_its_hour() -> None:
    (request,) = requests_of(STREAM, tick(), ARRIVAL_HOURS, "ledger_iot_energy")
    assert request.run_key == "12:2"
    assert request.partition_key == "2026-11-24-10:00"
    assert request.run_config == {
        "ops": {"ledger__iot_energy": {"config": {"batch_id": 12, "attempt": 2}}}
    }
    assert request.tags["dagster/max_retries"] == "0"
    assert request.tags["carbon/batch_id"] == "12"


@pytest.mark.parametrize("key", ["2199-01-01-00:00", "1999-12-31-23:00", "2026-11-24"])
def test_an_hour_that_is_no_partition_is_not_asked_for(key: str) -> None:
    """One unknown partition key would fail the tick, and every tick after it."""
    assert requests_of(STREAM, tick(arrival_partition=key), ARRIVAL_HOURS, "x") == []


def test_factors_are_asked_for_once_a_minute_when_there_are_none() -> None:
    (request,) = requests_of(
        STREAM, tick(batch_id=None, needs_factors=True), ARRIVAL_HOURS, "ledger_iot_energy"
    )
    assert (request.job_name, request.run_key) == ("factors", "factors at 2026-11-24T10:30")


def test_factors_are_not_asked_for_while_a_run_loads_them() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert no_run_loads(instance)
        instance.add_run(dg.DagsterRun(job_name="windows", status=dg.DagsterRunStatus.STARTED))
        assert no_run_loads(instance)
        run = dg.DagsterRun(job_name="factors", status=dg.DagsterRunStatus.STARTING)
        instance.add_run(run)
        assert not no_run_loads(instance)
        instance.report_run_failed(run)
        assert no_run_loads(instance)


def test_one_planner_asks_for_factors_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asking: list[bool] = []
    make = planner.make_planner_sensor

    def noted(*given: Any, asks_for_factors: bool) -> dg.SensorDefinition:
        asking.append(asks_for_factors)
        return make(*given, asks_for_factors=asks_for_factors)

    monkeypatch.setattr("carbon_assets.definitions.make_planner_sensor", noted)
    build_definitions()
    assert sorted(asking) == [False] * (len(STREAMS) - 1) + [True]


def test_a_skipped_tick_says_why_and_reports_the_lag() -> None:
    result = result_of(
        STREAM, tick(batch_id=None, sentence="halted: gap 3"), ARRIVAL_HOURS, "x", None, NOW
    )
    assert result.skip_reason is not None
    assert "gap 3" in str(result.skip_reason.skip_message)
    (event,) = result.asset_events
    values = {name: value.value for name, value in event.metadata.items()}
    assert (values["lag_records"], values["pending_records"]) == (50, 20)
    assert values["oldest_pending_age_seconds"] == 4
    assert result.cursor == NOW.isoformat()


def test_the_lag_is_not_reported_with_every_idle_tick() -> None:
    last = (NOW - timedelta(seconds=3)).isoformat()
    result = result_of(STREAM, tick(batch_id=None), ARRIVAL_HOURS, "x", last, NOW)
    assert list(result.asset_events) == []
    assert result.cursor == last


def test_a_stream_that_stands_still_reports_its_lag_seldom_and_a_halted_one_does_not() -> None:
    last = (NOW - timedelta(seconds=20)).isoformat()
    done = replace(STATE, progress={0: PartitionProgress(first=0, planned=100, committed=100)})
    halted = replace(done, halted_reason="gap 3", halted_at=NOW)

    def reported(state: StreamState, cursor: str) -> bool:
        idle = tick(batch_id=None, state=state)
        return bool(list(result_of(STREAM, idle, ARRIVAL_HOURS, "x", cursor, NOW).asset_events))

    assert not reported(done, last)
    assert reported(STATE, last)
    assert reported(halted, last)
    assert reported(done, (NOW - timedelta(minutes=5)).isoformat())


@pytest.mark.parametrize(
    "cursor", [None, "", "12:3", "2026-11-24T10:30:00", "2999-01-01T00:00:00+00:00"]
)
def test_a_lost_or_strange_cursor_only_means_an_early_report(cursor: str | None) -> None:
    assert is_report_due(cursor, NOW, is_quiet=True)
    assert is_time(cursor, timedelta(minutes=5), NOW)


def test_every_status_of_a_run_has_an_outlook() -> None:
    outlooks = {status: outlook_of(status) for status in dg.DagsterRunStatus}
    assert outlooks[dg.DagsterRunStatus.QUEUED] == "waiting"
    assert outlooks[dg.DagsterRunStatus.STARTED] == "started"
    assert outlooks[dg.DagsterRunStatus.CANCELED] == "failed"
    assert outlooks[dg.DagsterRunStatus.FAILURE] == "failed"
    assert outlooks[dg.DagsterRunStatus.SUCCESS] == "succeeded"


def test_days_become_runs_of_consecutive_ones() -> None:
    days = [
        date(2026, 3, 2),
        date(2026, 3, 1),
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2025, 1, 1),
    ]
    assert day_ranges(days) == [("2025-01-01", "2025-01-01"), ("2026-02-27", "2026-03-02")]
    requests = plan_windows(day_ranges(days), NOW)
    assert [(r.tags[RANGE_TAGS[0]], r.tags[RANGE_TAGS[1]]) for r in requests] == day_ranges(days)


def test_a_day_that_has_not_begun_in_utc_or_is_before_the_ledger_is_left_out() -> None:
    """A site at UTC+14 is in tomorrow already; its day is asked for when its partition exists."""
    far = datetime.now(UTC).date() + timedelta(days=2)
    assert existing_days([far, date(1999, 12, 31), date(2026, 1, 1)]) == ["2026-01-01"]
    assert not ACTIVITY_DAYS.has_partition_key(far.isoformat())


def test_no_tick_asks_for_more_than_its_share() -> None:
    scattered = [date(2026, 1, 1) + timedelta(days=2 * n) for n in range(3 * RANGES_MAX)]
    assert len(plan_windows(day_ranges(scattered), NOW)) == RANGES_MAX


@pytest.mark.parametrize(
    ("quiet", "reported_seconds_ago", "asked"),
    [
        (True, 1, True),
        (True, None, True),
        (False, None, True),
        (False, 59, False),
        (False, 60, True),
    ],
)
def test_a_changed_year_is_reported_at_once_when_quiet_else_once_a_minute(
    quiet: bool, reported_seconds_ago: int | None, asked: bool
) -> None:
    reported = None
    if reported_seconds_ago is not None:
        reported = NOW - timedelta(seconds=reported_seconds_ago)
    due = [YearDue(fiscal_year=2026, changed_at=NOW, reported_at=reported)]
    requests = plan_reports(due, quiet, FISCAL_YEARS.has_partition_key, NOW)
    assert [request.partition_key for request in requests] == (["2026"] if asked else [])


@pytest.mark.parametrize(
    ("quiet", "seconds_ago", "due"),
    [(True, None, True), (True, 59, False), (True, 60, True),
     (False, None, False), (False, 60, False), (False, 300, True)],
)  # fmt: skip
def test_windows_are_compared_when_quiet_and_now_and_then_under_load(
    quiet: bool, seconds_ago: int | None, due: bool
) -> None:
    """Each run costs a second or two of processor: the first batches are not to wait for that."""
    cursor = None if seconds_ago is None else (NOW - timedelta(seconds=seconds_ago)).isoformat()
    assert is_comparison_due(cursor, quiet, NOW) is due


def test_a_year_that_has_not_begun_is_left_out() -> None:
    due = [YearDue(fiscal_year=2199, changed_at=NOW, reported_at=None)]
    assert plan_reports(due, True, FISCAL_YEARS.has_partition_key, NOW) == []
