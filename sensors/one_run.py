"""A job that has one run at a time, which works off all that came in meanwhile.

Belongs here: when to ask for its next run, and a sensor that does. Does not: what waits for it (the
sensors that are made of this).

A run takes some two seconds to start, so it is asked for at most once in EVERY, however much waits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.windows import is_time

# With a tick's wait and a run's start a head leaves within half a minute of its commits.
EVERY = timedelta(seconds=12)
# After a run that failed: what it found broken does not mend itself.
EVERY_AFTER_FAILURE = timedelta(minutes=1)
# A run that was killed looks as if it went on. Two at once do no harm: each job takes a lock.
RUN_SECONDS_MAX = 60


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The latest run of the job: whether it goes on, and whether it failed."""

    is_running: bool = False
    has_failed: bool = False


def plan_run(
    is_waiting: bool, last: LastRun, cursor: str | None, now: datetime, *, verb: str
) -> list[dg.RunRequest]:
    """One request if there is work, no run is at it, and the last request was long enough ago."""
    every = EVERY_AFTER_FAILURE if last.has_failed else EVERY
    if not is_waiting or last.is_running or not is_time(cursor, every, now):
        return []
    return [dg.RunRequest(run_key=f"{verb} at {now.isoformat()}")]


def last_run(instance: dg.DagsterInstance, job_name: str, now: datetime) -> LastRun:
    """What the job's latest run is at."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name), limit=1)
    if not records:
        return LastRun()
    status, age = records[0].dagster_run.status, now - records[0].create_timestamp
    is_over = status in (
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.CANCELED,
    )
    return LastRun(
        is_running=not is_over and age < timedelta(seconds=RUN_SECONDS_MAX),
        has_failed=status == dg.DagsterRunStatus.FAILURE,
    )


def make_one_run_sensor(
    job: object,
    job_name: str,
    *,
    name: str,
    verb: str,
    description: str,
    tick_seconds: int,
    is_waiting: Callable[[LedgerDatabase], bool],
    nothing: str,
    database: LedgerDatabase,
) -> dg.SensorDefinition:
    """Asks for a run of the job whenever `is_waiting`; `nothing` says that there is no work."""

    @dg.sensor(
        name=name,
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=tick_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def one_run(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = datetime.now(UTC)
        try:
            waiting = is_waiting(database)
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        last = last_run(context.instance, job_name, now) if waiting else LastRun()
        requests = plan_run(waiting, last, context.cursor, now, verb=verb)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _why_not(waiting, last, nothing),
            cursor=now.isoformat() if requests else context.cursor,
        )

    return one_run


def _why_not(is_waiting: bool, last: LastRun, nothing: str) -> str:
    if not is_waiting:
        return nothing
    if last.is_running:
        return "a run is at it"
    return "the last run failed a moment ago" if last.has_failed else "a run ended a moment ago"
