"""Requests a run that seals, when something is unsealed or a head has not left the database.

Belongs here: when to ask. Does not: what is sealed (carbon_ledger.store.seals), where heads go
(pipeline.heads).

A run takes some two seconds to start, so one seals all that came in meanwhile: at most one run in
SEAL_EVERY, whatever the number of batches.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.windows import is_time

TICK_SECONDS = 4
# With a tick's wait and a run's start a head leaves within half a minute of its commits.
SEAL_EVERY = timedelta(seconds=12)
# After a run that failed: what it found broken does not mend itself.
SEAL_EVERY_AFTER_FAILURE = timedelta(minutes=1)
# A run that was killed looks as if it went on. Two at once do no harm: sealing takes a lock.
RUN_SECONDS_MAX = 60


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The latest run of the job: whether it goes on, and whether it failed."""

    is_running: bool = False
    has_failed: bool = False


def plan_seal(
    is_waiting: bool, last: LastRun, cursor: str | None, now: datetime
) -> list[dg.RunRequest]:
    """One request if there is work, no run is at it, and the last request was long enough ago."""
    every = SEAL_EVERY_AFTER_FAILURE if last.has_failed else SEAL_EVERY
    if not is_waiting or last.is_running or not is_time(cursor, every, now):
        return []
    return [dg.RunRequest(run_key=f"seal at {now.isoformat()}")]


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


def make_seal_sensor(seal_job: object, job_name: str) -> dg.SensorDefinition:
    """Asks for a seal of what was committed since the last one."""

    @dg.sensor(
        name="seal_commits",
        job=seal_job,  # type: ignore[arg-type]
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has sealed what was committed, and published what was signed.",
    )
    def seal_commits(
        context: dg.SensorEvaluationContext, database: LedgerDatabase
    ) -> dg.SensorResult:
        from carbon_ledger import settings
        from carbon_ledger.store.seals import is_work_waiting
        from pipeline.heads import places

        now = datetime.now(UTC)
        try:
            with database.connect_as_sealer("seal sensor") as conn:
                waiting = is_work_waiting(conn, places(settings.load()))
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        last = last_run(context.instance, job_name, now) if waiting else LastRun()
        requests = plan_seal(waiting, last, context.cursor, now)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _why_not(waiting, last),
            cursor=now.isoformat() if requests else context.cursor,
        )

    return seal_commits


def _why_not(is_waiting: bool, last: LastRun) -> str:
    if not is_waiting:
        return "everything is sealed and published"
    if last.is_running:
        return "a run is at it"
    return "the last run failed a moment ago" if last.has_failed else "sealed a moment ago"
