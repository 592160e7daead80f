"""Watches dead letters: has edges' letters taken up, and says how many wait for somebody.

Belongs here: when to ask for a run, and the observation of dlq/open. Does not: reading the queue
(pipeline.letter_uptake), what a letter's state is (carbon_ledger.store.letters).

The cursor holds when a run was last asked for, when dlq/open was last observed, and what was seen
then; all of it only hints.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.one_run import LastRun, last_run
from sensors.windows import is_time

if TYPE_CHECKING:
    from carbon_ledger.store.letters import LetterCount

OPEN = dg.AssetKey(["dlq", "open"])
TICK_SECONDS = 15
# Records that are refused one after the other all day must not make a run each: Dagster keeps runs.
EVERY = timedelta(minutes=1)
# What has not changed is said again this often, so that an old figure is told from a dead sensor.
UNCHANGED_EVERY = timedelta(minutes=10)
UNDECIDED = ("open", "exhausted")


@dataclass(frozen=True, kw_only=True)
class Hint:
    """What the sensor remembers from one tick to the next; nothing of it need be true."""

    requested_at: str | None = None
    observed_at: str | None = None
    seen: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> "Hint":
        """Out of a cursor; an unreadable one is none."""
        try:
            given = json.loads(cursor or "{}")
            return cls(**given)
        except (ValueError, TypeError):
            return cls()

    @property
    def cursor(self) -> str:
        """As the sensor's cursor."""
        return json.dumps(vars(self))


def plan_uptake(is_waiting: bool, last: LastRun, hint: Hint, now: datetime) -> list[dg.RunRequest]:
    """One request if there is something to take up, no run is at it, and the last one was not just
    now.
    """
    if not is_waiting or last.is_running or not is_time(hint.requested_at, EVERY, now):
        return []
    return [dg.RunRequest(run_key=f"take up at {now.isoformat()}")]


def figures(counts: Sequence["LetterCount"], now: datetime) -> dict[str, Any]:
    """Letters that wait for a decision: how many, for which reasons, the oldest since when."""
    waiting = [one for one in counts if one.state in UNDECIDED]
    by_reason: dict[str, int] = {}
    for one in waiting:
        by_reason[one.reason_code] = by_reason.get(one.reason_code, 0) + one.letters
    oldest = min((one.oldest_at for one in waiting), default=None)
    age = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    return {
        "open": sum(one.letters for one in waiting if one.state == "open"),
        "exhausted": sum(one.letters for one in waiting if one.state == "exhausted"),
        "replayed": sum(one.letters for one in counts if one.state == "replayed"),
        "by_reason": dict(sorted(by_reason.items())),
        "oldest_age_seconds": age,
    }


def observation(found: Mapping[str, Any], hint: Hint, now: datetime) -> dg.AssetObservation | None:
    """The figures as an observation of dlq/open, if they are new or were last told long ago."""
    seen = _digest(found)
    every = EVERY if seen != hint.seen else UNCHANGED_EVERY
    if not is_time(hint.observed_at, every, now):
        return None
    metadata = {**found, "by_reason": dg.MetadataValue.json(found["by_reason"])}
    return dg.AssetObservation(asset_key=OPEN, metadata=metadata)


def _digest(found: Mapping[str, Any]) -> str:
    """The figures without the age, which grows by itself."""
    kept = {name: value for name, value in found.items() if name != "oldest_age_seconds"}
    return json.dumps(kept, sort_keys=True)


def make_dead_letters_sensor(
    job: object, job_name: str, database: LedgerDatabase
) -> dg.SensorDefinition:
    """The sensor. A service that does not answer makes a skipped tick with its sentence."""

    @dg.sensor(
        name="watch_dead_letters",
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has letters of edges taken up, has replays sent that somebody left undone, "
        "and observes how many letters wait for a decision.",
    )
    def dead_letters(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        hint, now = Hint.of(context.cursor), datetime.now(UTC)
        try:
            waiting, found = _look(database, hint, now)
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        last = last_run(context.instance, job_name, now) if waiting else LastRun()
        requests = plan_uptake(waiting, last, hint, now)
        event = None if found is None else observation(found, hint, now)
        after = Hint(
            requested_at=now.isoformat() if requests else hint.requested_at,
            observed_at=now.isoformat() if event else hint.observed_at,
            seen=_digest(found) if event and found else hint.seen,
        )
        told = "letters wait for the next run" if waiting else "every letter is taken up"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else told,
            asset_events=[] if event is None else [event],
            cursor=after.cursor,
        )

    return dead_letters


def _look(
    database: LedgerDatabase, hint: Hint, now: datetime
) -> tuple[bool, dict[str, Any] | None]:
    """Whether there is work, and the figures where it is time to look at all letters."""
    from carbon_ledger import settings
    from carbon_ledger.store.letter_decisions import has_unsent_replays
    from carbon_ledger.store.letters import count_letters, tries_max
    from pipeline.letter_uptake import is_waiting

    given = settings.load()
    with database.connect("dead letters sensor") as conn:
        waiting = is_waiting(conn, given) or has_unsent_replays(conn)
        if not is_time(hint.observed_at, EVERY, now):
            return waiting, None
        counts = count_letters(conn, tries=tries_max(given))
    return waiting, figures(counts, now)
