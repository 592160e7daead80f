"""Finds runs that failed, writes them down, and has word of them sent.

Belongs here: which runs are looked at, when a channel is tried again. Does not: sending
(carbon_assets.failure_notices), what is kept (carbon_ledger.store.run_failures).

Not Dagster's run_failure_sensor: where that cannot write down or send, its cursor moves on all the
same, and nobody hears of the run. Here every failed run of the last days is compared with what is
written down, so none is lost and none is told twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.waiting import is_wait_over

if TYPE_CHECKING:
    from carbon_ledger.settings import Settings
    from carbon_ledger.store.run_failures import RunFailure, UntoldFailure

NAME = "tell_run_failures"
KEY = dg.AssetKey(["audit", "run_failures"])
TICK_SECONDS = 14
# Runs that failed within this time are looked at: a database that was away that long is too late.
LOOK_BACK = timedelta(days=2)
RUNS_MAX = 200
# Sent by one tick and channel, which has a minute.
SENT_MAX = 2
TELL_WITHIN = timedelta(days=7)
WAIT_FIRST = timedelta(seconds=30)
WAIT_MAX = timedelta(hours=6)
TAGS_SHOWN = (
    "dagster/partition",
    "dagster/schedule_name",
    "dagster/sensor_name",
    "carbon/organization",
    "carbon/period",
    "carbon/stream",
)
ERROR_EVENTS = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}

Deliver = Callable[["RunFailure", str, datetime], tuple[bool, str]]


def is_attempt_due(attempts: int, last_at: datetime | None, now: datetime) -> bool:
    """Whether a channel is tried now: at once, then after twice as long each time."""
    return is_wait_over(attempts, last_at, now, first=WAIT_FIRST, most=WAIT_MAX)


def part_of(tags: "dict[str, str]") -> str:
    """What a run was asked for with, to read."""
    return ", ".join(
        f"{name.rpartition('/')[2]} {tags[name]}" for name in TAGS_SHOWN if tags.get(name)
    )


def error_of(instance: dg.DagsterInstance, run_id: str) -> str:
    """The first error of a run, as its step told it."""
    for entry in instance.all_logs(run_id, of_type=ERROR_EVENTS):
        event = entry.dagster_event
        data: Any = None if event is None else event.event_specific_data
        told = getattr(data, "user_failure_data", None)
        if told is not None and told.description:
            return str(told.description)
        error = getattr(data, "error", None)
        if error is not None:
            return str((error.cause or error).message).strip()
        if event is not None and event.message:
            return str(event.message)
    return "the run failed without an error; its process may have been killed"


def failures_of(
    instance: dg.DagsterInstance, is_unknown: Callable[[Sequence[str]], set[str]], now: datetime
) -> "list[RunFailure]":
    """Failed runs of the last days that are not written down; `is_unknown` picks their ids."""
    from carbon_ledger.store.run_failures import RunFailure

    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - LOOK_BACK),
        limit=RUNS_MAX,
    )
    wanted = is_unknown([one.dagster_run.run_id for one in records])
    return [
        RunFailure(
            run_id=one.dagster_run.run_id,
            job=one.dagster_run.job_name,
            part=part_of(dict(one.dagster_run.tags)),
            error=error_of(instance, one.dagster_run.run_id),
            failed_at=one.update_timestamp,
        )
        for one in records
        if one.dagster_run.run_id in wanted
    ]


def to_tell(untold: "Sequence[UntoldFailure]", now: datetime) -> "list[UntoldFailure]":
    """Those that a channel is told of now, SENT_MAX at most."""
    return [one for one in untold if is_attempt_due(one.attempts, one.last_at, now)][:SENT_MAX]


def observation(failure: "RunFailure") -> dg.AssetObservation:
    """A failed run as the web UI shows it beside the graph."""
    return dg.AssetObservation(
        KEY,
        metadata={
            "run": failure.run_id,
            "job": failure.job,
            "part": failure.part,
            "error": failure.error,
            "failed_at": failure.failed_at.isoformat(),
        },
    )


def make_failures_sensor(
    database: LedgerDatabase,
    channels: "Callable[[Settings], Any]",
    deliver: "Callable[..., tuple[bool, str]]",
    without_secrets: "Callable[[str, Settings], str]",
) -> dg.SensorDefinition:
    """Writes every failed run down once, and tells each channel of it until it has arrived."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes failed runs down (`carbon failures`), and sends word of them where the "
        "settings say.",
    )
    def tell_run_failures(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from carbon_ledger import settings
        from carbon_ledger.store import run_failures as store

        now = datetime.now(UTC)
        try:
            given = settings.load()
            with database.connect("failures sensor") as conn:
                found = failures_of(
                    context.instance, lambda ids: store.unknown_failures(conn, ids), now
                )
                found = [
                    replace(
                        one,
                        error=without_secrets(one.error, given),
                        part=without_secrets(one.part, given),
                    )
                    for one in found
                ]
                store.record_failures(conn, found)
                where = channels(given)
                sent = 0
                for channel in where.names:
                    untold = store.untold_failures(conn, channel, now - TELL_WITHIN, RUNS_MAX)
                    for one in to_tell(untold, now):
                        is_delivered, outcome = deliver(one, channel, where, datetime.now(UTC))
                        store.record_notice(
                            conn,
                            one.run_id,
                            channel,
                            one.attempts + 1,
                            is_delivered=is_delivered,
                            outcome=outcome,
                        )
                        sent += 1
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message)
        return dg.SensorResult(
            asset_events=[observation(one) for one in found],
            skip_reason=f"{len(found)} failed runs written down, {sent} notices tried",
        )

    return tell_run_failures
