"""When the sensor of dead letters asks for a run, and when it says how many are open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carbon_ledger.store.letters import LetterCount
from sensors.dead_letters import OPEN, Hint, figures, observation, plan_uptake
from sensors.one_run import LastRun

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ago(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("is_waiting", "last", "requested_at", "asks"),
    [
        (True, LastRun(), None, True),
        (False, LastRun(), None, False),
        (True, LastRun(is_running=True), None, False),
        (True, LastRun(has_failed=True), ago(61), True),
        (True, LastRun(), ago(59), False),
        (True, LastRun(), "nonsense", True),
        # A clock that was set back must not silence the sensor.
        (True, LastRun(), ago(-3600), True),
    ],
)
def test_a_run_is_asked_for_at_most_once_a_minute(
    is_waiting: bool, last: LastRun, requested_at: str | None, asks: bool
) -> None:
    hint = Hint(requested_at=requested_at)
    assert bool(plan_uptake(is_waiting, last, hint, NOW)) == asks


def count(state: str, letters: int, reason: str = "r", hours: int = 1) -> LetterCount:
    return LetterCount(
        state=state,
        stream="iot_energy",
        reason_code=reason,
        letters=letters,
        oldest_at=NOW - timedelta(hours=hours),
    )


def test_figures_are_of_what_waits_for_somebody() -> None:
    counts = [
        count("open", 3, "a", 2),
        count("open", 1, "b"),
        count("exhausted", 2, "a", 5),
        count("landed", 9, "a", 50),
        count("replayed", 4, "a", 60),
    ]
    assert figures(counts, NOW) == {
        "open": 4,
        "exhausted": 2,
        "replayed": 4,
        "by_reason": {"a": 5, "b": 1},
        "oldest_age_seconds": 5 * 3600.0,
    }
    assert figures([], NOW)["oldest_age_seconds"] == 0.0


def test_an_observation_comes_with_a_change_and_seldom_without() -> None:
    found: dict[str, Any] = figures([count("open", 1)], NOW)
    first = observation(found, Hint(), NOW)
    assert first is not None
    assert first.asset_key == OPEN
    assert first.metadata["open"].value == 1
    from sensors.dead_letters import _digest

    seen = _digest(found)
    assert observation(found, Hint(observed_at=ago(300), seen=seen), NOW) is None
    assert observation(found, Hint(observed_at=ago(601), seen=seen), NOW) is not None
    other = figures([count("open", 2)], NOW)
    assert observation(other, Hint(observed_at=ago(61), seen=seen), NOW) is not None
    assert observation(other, Hint(observed_at=ago(30), seen=seen), NOW) is None


@pytest.mark.parametrize("cursor", [None, "", "{", "[]", '{"strange": 1}', "2026-03-01"])
def test_an_unreadable_cursor_is_none(cursor: str | None) -> None:
    assert Hint.of(cursor) == Hint()


def test_a_cursor_is_read_back() -> None:
    hint = Hint(requested_at=ago(1), observed_at=ago(2), seen="x")
    assert Hint.of(hint.cursor) == hint
