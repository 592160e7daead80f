"""When a run of supersession is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sensors.one_run import LastRun, plan_run

NOW = datetime(2026, 5, 6, 7, tzinfo=UTC)
LONG_AGO = (NOW - timedelta(minutes=5)).isoformat()
JUST_NOW = (NOW - timedelta(seconds=5)).isoformat()


@pytest.mark.parametrize(
    ("is_waiting", "last", "cursor", "requests"),
    [
        (True, LastRun(), None, 1),
        (True, LastRun(), LONG_AGO, 1),
        (True, LastRun(has_failed=True), LONG_AGO, 1),
        (True, LastRun(), JUST_NOW, 0),
        (True, LastRun(is_running=True), LONG_AGO, 0),
        (False, LastRun(), LONG_AGO, 0),
    ],
)
def test_a_run_is_asked_for_when_entries_wait_and_none_is_at_it(
    is_waiting: bool, last: LastRun, cursor: str | None, requests: int
) -> None:
    found = plan_run(is_waiting, last, cursor, NOW, verb="supersede")
    assert len(found) == requests
    assert all((one.run_key or "").startswith("supersede at ") for one in found)
