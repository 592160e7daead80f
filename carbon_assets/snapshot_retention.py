"""reports/retention: report snapshots thinned with time, so that they do not grow without end.

Belongs here: the asset, its job and schedule. Does not: which ones may go, which the database
decides (reports.retire_snapshots), Dagster's own runs (carbon_assets.retention).
"""

from typing import Final

import dagster as dg

from carbon_assets.jobs import AT_LEISURE
from carbon_assets.reports import CDP_KEY
from carbon_assets.reports import KEY as ESRS_KEY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

KEY: Final = dg.AssetKey(["reports", "retention"])
# Calls of one run; what is left waits for the next night.
CALLS_MAX: Final = 20


@dg.asset(
    key=KEY,
    deps=[
        dg.AssetDep(ESRS_KEY, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(CDP_KEY, partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name="reports",
    kinds={"postgres"},
    owners=["team:data-platform"],
    description="Snapshots of reports that nobody asked for are made as often as something is "
    "posted. Of those older than CARBON_SNAPSHOT_DAYS the last of each day stays, after a year the "
    "last of each month. What somebody asked for, what a schedule made, what a period, a sign-off "
    "or anything else cites, and what fails its expectations stays for good. Each one that goes is "
    "a row of reports.snapshot_retired with its hash: the same moment makes it again.",
    metadata={"dagster/table_name": "reports.snapshot_retired"},
    code_version=code_version(),
)
def snapshot_retention(
    context: dg.AssetExecutionContext, database: LedgerDatabase
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Retires what may go, and says what is left."""
    from carbon_ledger import settings
    from carbon_ledger.store.snapshot_retention import (
        kept_snapshots,
        retire_snapshots,
        snapshot_days,
    )

    days = snapshot_days(settings.load())
    snapshots = rows = 0
    with database.connect("snapshot retention") as conn:
        for call in range(CALLS_MAX):
            run = f"{context.run.run_id} {call}"
            gone = retire_snapshots(conn, run=run, after_days=days)
            snapshots, rows = snapshots + gone.snapshots, rows + gone.rows
            if not gone.snapshots and not gone.rows:
                break
        left = kept_snapshots(conn)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": left.retired,
            "snapshots_retired": snapshots,
            "row_snapshots_retired": rows,
            "snapshots_kept": left.snapshots,
            "row_snapshots_kept": left.row_snapshots,
            "size_bytes": left.size_bytes,
            "after_days": days,
        }
    )


retention_job = dg.define_asset_job(
    "snapshot_retention",
    selection=dg.AssetSelection.assets(KEY),
    tags=AT_LEISURE,
    description="Thins report snapshots that nobody asked for and nothing cites.",
)
retention_nightly = dg.ScheduleDefinition(
    name="snapshot_retention_nightly",
    job=retention_job,
    cron_schedule="10 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="After the night's checks.",
)
