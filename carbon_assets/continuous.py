"""What Dagster is told of batches that no run worked off: runless materializations of the ledger.

Belongs here: the events, and marking what was told. Does not: driving (spark.continuous), when to
tell (its `report`), the account itself (carbon_ledger.store.upkeep).

One event an arrival hour and report, however many batches it covers: a stream with a batch a second
would fill Dagster's database otherwise. Told at least once; a driver that dies before it could mark
what it told leads to the same figures again, by the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from carbon_assets.ledger_run import (
    ACCOUNTS_CHECK,
    REPORTED_DAYS_MAX,
    account_metadata,
    accounts_check,
)
from carbon_assets.partitions import existing_days
from carbon_ledger.streams import Stream

if TYPE_CHECKING:
    from carbon_ledger.store.manifest import Connection

# What an event lists one by one; a backlog may have thousands.
LISTED_MAX = 50


def report_batches(conn: Connection, instance: dg.DagsterInstance, stream: Stream) -> int:
    """Tells Dagster of the stream's batches that continuous drivers finished since the last report;
    how many there were.
    """
    from carbon_ledger.store.drivers import mark_reported, unreported_batches

    batches = unreported_batches(conn, stream.name)
    hours: dict[str, list[int]] = {}
    for batch in batches:
        hours.setdefault(batch.arrival_partition, []).append(batch.batch_id)
    for hour, batch_ids in hours.items():
        for event in events_of(conn, stream, hour, batch_ids):
            instance.report_runless_asset_event(event)
        mark_reported(conn, stream.name, batch_ids[-1])
    return len(batches)


def events_of(
    conn: Connection,
    stream: Stream,
    hour: str,
    batch_ids: Sequence[int],
    what: str = "batches of the continuous driver",
) -> list[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The materialization of an arrival hour with the account of these batches, its check, and the
    windows of the days they posted to.
    """
    from carbon_ledger.store.upkeep import account_faults, account_of, batch_days

    account, days = account_of(conn, batch_ids), batch_days(conn, batch_ids)
    key = dg.AssetKey(stream.ledger_key)
    metadata = account_metadata(account)
    for name in ("offsets", "archive_objects"):
        metadata[name] = dg.MetadataValue.json(list(metadata[name].value)[-LISTED_MAX:])
    check = accounts_check(account, account_faults(conn, batch_ids))
    told: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = [
        dg.AssetMaterialization(
            asset_key=key,
            partition=hour,
            description=f"{len(batch_ids)} batches: {what}",
            metadata={
                "batches": f"{batch_ids[0]} to {batch_ids[-1]}, {len(batch_ids)} in all",
                **metadata,
                "local_days": [day.isoformat() for day in days],
            },
            tags={"dagster/data_version": account.sha256},
        ),
        dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=ACCOUNTS_CHECK,
            passed=check.passed,
            metadata=check.metadata,
            description=check.description,
        ),
    ]
    posted_to = existing_days(days)
    if len(posted_to) <= REPORTED_DAYS_MAX:
        told += [
            dg.AssetMaterialization(
                asset_key=dg.AssetKey(["windows", name]),
                partition=day,
                description="posted to in the commits of continuous batches",
                metadata={"batches": f"{batch_ids[0]} to {batch_ids[-1]}"},
            )
            for name in ("five_minute", "daily")
            for day in posted_to
        ]
    return told
