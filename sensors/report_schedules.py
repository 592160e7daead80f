"""Schedules that ask for the reports that are due, whenever they were due.

Belongs here: when to ask, and with what. Does not: what is due (carbon_ledger.store), the jobs.

Each ticks every minute and asks for what is due and was not made: Dagster itself makes up for the
last tick that it missed, if at all, and a company's working day is no cron string. A report is as
of the moment it was due, so one that is late is the same to the byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.waiting import is_wait_over

if TYPE_CHECKING:
    from carbon_ledger.organisation.report_calendar import Due

EVERY_MINUTE = "* * * * *"
# Runs asked for by one tick; the earliest first, the rest is for the next ticks.
RUNS_MAX = 4
# After a failure the next attempt waits this long, twice as long after each further one.
WAIT_FIRST = timedelta(minutes=5)
WAIT_MAX = timedelta(hours=6)
ATTEMPTS_SEEN_MAX = 100
SCHEDULE_TAG = "carbon/schedule"
PERIOD_TAG = "carbon/period"
ORGANIZATION_TAG = "carbon/organization"
DUE_TAG = "carbon/due_at"
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
    dg.DagsterRunStatus.MANAGED,
)


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """What became of the runs that were asked for so far."""

    number: int = 0
    is_running: bool = False
    last_at: datetime | None = None


def is_attempt_due(tried: Attempts, now: datetime) -> bool:
    """Whether to ask now: at once, and after a failure once it is long enough ago."""
    return not tried.is_running and is_wait_over(
        tried.number, tried.last_at, now, first=WAIT_FIRST, most=WAIT_MAX
    )


def tags_of(due: "Due") -> dict[str, str]:
    """What a run is found again by."""
    return {
        SCHEDULE_TAG: due.schedule,
        PERIOD_TAG: due.period,
        ORGANIZATION_TAG: due.organization_id,
        DUE_TAG: due.due_at.isoformat(),
    }


def request_of(due: "Due", ops: Sequence[str], attempt: int) -> dg.RunRequest:
    """The run that makes what is due: `ops` make its reports."""
    config = {
        "organization": due.organization_id,
        "as_of": due.due_at.isoformat(),
        "schedule": due.schedule,
        "period": due.period,
    }
    return dg.RunRequest(
        run_key=f"{due.organization_id} {due.schedule} {due.period} {due.due_at.isoformat()}"
        f" {attempt}",
        partition_key=str(due.fiscal_year),
        run_config={"ops": {op: {"config": config} for op in ops}},
        tags=tags_of(due),
    )


def plan_due(
    missing: "Sequence[Due]",
    tried: "Mapping[Due, Attempts]",
    ops: Sequence[str],
    now: datetime,
) -> list[dg.RunRequest]:
    """A request for each that is due, is not being made, and did not fail a moment ago."""
    wanted = [one for one in missing if is_attempt_due(tried.get(one, Attempts()), now)]
    return [
        request_of(one, ops, tried.get(one, Attempts()).number + 1) for one in wanted[:RUNS_MAX]
    ]


def attempts_at(instance: dg.DagsterInstance, job_name: str, due: "Due") -> Attempts:
    """The runs that Dagster has of what is due."""
    found = instance.get_run_records(
        dg.RunsFilter(job_name=job_name, tags=tags_of(due)), limit=ATTEMPTS_SEEN_MAX
    )
    return Attempts(
        number=len(found),
        is_running=any(one.dagster_run.status in UNFINISHED for one in found),
        last_at=max((one.create_timestamp for one in found), default=None),
    )


def make_report_schedule(
    job: Any, name: str, ops: Sequence[str], database: LedgerDatabase, description: str
) -> dg.ScheduleDefinition:
    """The schedule `name`, which has `job` make what is due of it; ops that make its reports."""

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=EVERY_MINUTE,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def report_schedule(
        context: dg.ScheduleEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        from carbon_ledger.store.report_schedules import missing_reports

        now = datetime.now(UTC)
        try:
            with database.connect("report schedule") as conn:
                missing = missing_reports(conn, name)
        except CarbonError as error:
            return dg.SkipReason(error.message)
        tried = {one: attempts_at(context.instance, job.name, one) for one in missing}
        requests = plan_due(missing, tried, ops, now)
        if requests:
            return requests
        if missing:
            return dg.SkipReason(f"{len(missing)} are due, and asked for or failed a moment ago")
        return dg.SkipReason("what is due is made; `carbon report schedule` shows what is next")

    return report_schedule
