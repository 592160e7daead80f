"""What Dagster forgets, and when: runs with their events, results of checks, and observations, by
an hourly job.

Belongs here: which run may go, and keeping what it alone says. Does not: ticks (dagster.yaml), the
record of what happened, which is the ledger's own tables: batches, accounts, commits, seals.

A run's materializations go with it. So an arrival hour of a ledger is first told again in one event
of no run, from its accounts; and a run that is the latest word on any other asset or partition
stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from carbon_assets.continuous import events_of
from carbon_assets.jobs import AT_LEISURE
from carbon_ledger.errors import CarbonError
from carbon_ledger.streams import STREAMS, Stream
from resources.database import LedgerDatabase

KEEP_RUNS = timedelta(hours=24)
# What went wrong is looked at later.
KEEP_FAILED_RUNS = timedelta(days=14)
KEEP_OBSERVATIONS = timedelta(hours=24)
# Runs that one purge looks at; with five streams some 700 come in an hour.
RUNS_MAX = 2_000
CONSUMED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True, kw_only=True)
class Purged:
    """What one purge did."""

    runs_deleted: int
    runs_kept: int
    hours_told: int


def purge_runs(
    instance: dg.DagsterInstance,
    database: LedgerDatabase,
    now: datetime,
    streams: Sequence[Stream] = STREAMS,
    keep: timedelta = KEEP_RUNS,
    keep_failed: timedelta = KEEP_FAILED_RUNS,
) -> Purged:
    """Deletes finished runs that were created before `now - keep`, oldest first, RUNS_MAX at most.

    A run under way is never deleted, nor one whose materialization is the newest of its asset and
    partition; arrival hours of ledgers are told again first, so theirs are not.
    """
    records = [
        *_old_runs(instance, list(CONSUMED), now - keep),
        *_old_runs(instance, [dg.DagsterRunStatus.FAILURE], now - keep_failed),
    ]
    by_key = {dg.AssetKey(stream.ledger_key): stream for stream in streams}
    newest: dict[tuple[dg.AssetKey, str | None], str] = {}
    deleted = kept = told = 0
    for record in records[:RUNS_MAX]:
        run_id = record.dagster_run.run_id
        must_stay = False
        for key, partition in _materialized(instance, run_id):
            if _newest(instance, newest, key, partition) != run_id:
                continue
            if key in by_key and partition is not None:
                _tell_hour(instance, database, by_key[key], partition)
                newest[key, partition] = ""
                told += 1
            else:
                must_stay = True
        if must_stay:
            kept += 1
            continue
        instance.delete_run(run_id)
        deleted += 1
    return Purged(runs_deleted=deleted, runs_kept=kept, hours_told=told)


def _old_runs(
    instance: dg.DagsterInstance, statuses: list[dg.DagsterRunStatus], before: datetime
) -> Sequence[dg.RunRecord]:
    found = dg.RunsFilter(statuses=statuses, created_before=before)
    return instance.get_run_records(found, limit=RUNS_MAX, ascending=True)


def _materialized(
    instance: dg.DagsterInstance, run_id: str
) -> list[tuple[dg.AssetKey, str | None]]:
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    made = [entry.asset_materialization for entry in logs]
    return [(one.asset_key, one.partition) for one in made if one is not None]


def _newest(
    instance: dg.DagsterInstance,
    known: dict[tuple[dg.AssetKey, str | None], str],
    key: dg.AssetKey,
    partition: str | None,
) -> str:
    """Id of the run with the newest materialization; empty if it is of no run."""
    if (key, partition) not in known:
        wanted = dg.AssetRecordsFilter(
            asset_key=key, asset_partitions=None if partition is None else [partition]
        )
        found = instance.fetch_materializations(wanted, limit=1).records
        known[key, partition] = found[0].event_log_entry.run_id if found else ""
    return known[key, partition]


def _tell_hour(
    instance: dg.DagsterInstance, database: LedgerDatabase, stream: Stream, hour: str
) -> None:
    from carbon_ledger.store.manifest import plans_of_partitions

    key = dg.AssetKey(stream.ledger_key)
    with database.connect("retention") as conn:
        batch_ids = [plan.batch_id for plan in plans_of_partitions(conn, stream.name, [hour])]
        if not batch_ids:
            return
        for event in events_of(
            conn, stream, hour, batch_ids, what="the hour's batches, from their accounts"
        ):
            if event.asset_key == key:
                instance.report_runless_asset_event(event)


@dg.op(description="Deletes old runs, their events, old results of checks and observations of lag.")
def purge(context: dg.OpExecutionContext, database: LedgerDatabase) -> None:
    """Dagster's database holds a day of runs, results and observations afterwards."""
    from carbon_ledger.store.dagster_storage import purge_check_executions, purge_observations

    now = datetime.now(UTC)
    done = purge_runs(context.instance, database, now)
    try:
        observations = purge_observations(now - KEEP_OBSERVATIONS)
        results = purge_check_executions(now - KEEP_RUNS, now - KEEP_FAILED_RUNS)
    except CarbonError as error:
        context.log.warning("observations and results of checks stay for now: %s", error.message)
        observations = results = 0
    context.log.info(
        "%s; %s observations, %s results of checks deleted", done, observations, results
    )


@dg.job(tags=AT_LEISURE, description="Keeps Dagster's own database small.")
def purge_dagster() -> None:
    """The one step."""
    purge()


def hourly_schedule(job: Any) -> dg.ScheduleDefinition:
    """Forty minutes past each hour, UTC."""
    return dg.ScheduleDefinition(
        name="purge_dagster_hourly",
        job=job,
        cron_schedule="40 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes runs, results of checks and observations older than a day.",
    )
