"""What a run of a ledger asset does: work off a claimed batch, or re-perform batches that are done.

Belongs here: lease, order of calls, what is told about it. Does not: the asset's shape
(carbon_assets.ledger), planning (sensors.planner), reading, judging and committing (spark).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_assets.partitions import existing_days
from carbon_ledger.errors import BrokenInvariant, CarbonError
from carbon_ledger.failpoints import failpoint
from carbon_ledger.streams import Stream
from resources.database import LedgerDatabase
from resources.kafka import KafkaTopics
from resources.spark_connect import SparkConnect

if TYPE_CHECKING:
    from carbon_ledger.store.manifest import BatchPlan
    from carbon_ledger.store.upkeep import Account, Fault

ACCOUNTS_CHECK = "accounts_balance"
# Dagster writes each of these events by itself, some 80 ms on a busy machine, while the stream's
# next batch waits for the run to end. Beyond a month of days the pages wait for the comparison of
# windows, which materializes every day that was posted to as soon as no batch is under way.
REPORTED_DAYS_MAX = 31


class LedgerConfig(dg.Config):
    """Which batch to work off. Without one, the selected partitions are re-performed (nothing is
    added)."""

    batch_id: int | None = None
    attempt: int | None = None


def work_off(
    stream: Stream,
    config: LedgerConfig,
    run_id: str,
    database: LedgerDatabase,
    kafka: KafkaTopics,
    spark: SparkConnect,
) -> list[BatchPlan]:
    """The batch of `config` is done and its parts are in the accounts; the plans worked on (one).

    A batch that is done already is left as it is. Raises AttemptReplaced if a later attempt has it.
    Whatever goes wrong is told to the planner, which hands the batch out again.
    """
    from carbon_ledger.store import manifest
    from spark.attempt import check_topic, kept_lease, tell_planner
    from spark.micro_batch import run_batch

    batch_id, attempt = _named_batch(config)
    with database.connect(f"batch {batch_id}") as conn:
        if manifest.is_done(conn, batch_id):
            return [manifest.read_plan(conn, batch_id)]
        plan = manifest.begin_attempt(conn, batch_id, attempt, run_id)
    failpoint("attempt_begun")
    try:
        with kept_lease(database.connect, plan):
            check_topic(kafka.sight(plan.topic).topic_id, plan)
            with spark.session() as session:
                run_batch(session, database.writer_url, plan)
        with database.connect(f"batch {batch_id}") as conn:
            manifest.finish_batch(conn, batch_id, attempt)
        failpoint("batch_finished")
    except BaseException as error:
        tell_planner(database.connect, plan, error)
        raise
    return [plan]


def _named_batch(config: LedgerConfig) -> tuple[int, int]:
    if config.batch_id is None or config.attempt is None:
        raise BrokenInvariant(
            "run_config", f"a run works off a batch by batch_id and attempt, given were {config}"
        )
    return config.batch_id, config.attempt


def done_in(
    database: LedgerDatabase, stream: Stream, partition_keys: Sequence[str]
) -> list[BatchPlan]:
    """Every batch claimed in one of these hours that is done."""
    from carbon_ledger.store.manifest import plans_of_partitions

    with database.connect("rebuild") as conn:
        return plans_of_partitions(conn, stream.name, partition_keys)


def reperform(
    plans: Sequence[BatchPlan], database: LedgerDatabase, spark: SparkConnect
) -> dict[str, Any]:
    """Computes batches that are done anew and compares; posts nothing. What it found, as
    metadata."""
    from spark.rebuild import rebuild

    if not plans:
        return {"would_post": 0, "known": 0}
    with spark.session() as session:
        report = asdict(rebuild(session, database.writer_url, plans))
    return {**report, "samples": dg.MetadataValue.json(list(report["samples"]))}


def relay_letters(
    context: dg.AssetExecutionContext, database: LedgerDatabase, kafka: KafkaTopics
) -> int:
    """Dead letters go to dlq.failed_events; what cannot be sent now is sent later, and is no
    failure of the run."""
    try:
        return kafka.relay_dead_letters(database)
    except CarbonError as error:
        context.log.warning("dead letters wait for the next relay: %s", error.message)
        return 0


def outcome(
    context: dg.AssetExecutionContext,
    plans: Sequence[BatchPlan],
    database: LedgerDatabase,
    extra: dict[str, Any],
    *,
    was_posted: bool,
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The account of `plans`, read back from the database, as the materialization's metadata and
    check."""
    from carbon_ledger.store.upkeep import account_faults, account_of, batch_days

    batch_ids = [plan.batch_id for plan in plans]
    with database.connect("outcome") as conn:
        account = account_of(conn, batch_ids)
        faults = account_faults(conn, batch_ids)
        days = batch_days(conn, batch_ids)
    if was_posted:
        report_windows(context, batch_ids, existing_days(days))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(account.sha256),
        metadata={
            "batches": batch_ids,
            **account_metadata(account),
            "local_days": [day.isoformat() for day in days],
            **extra,
        },
        check_results=[accounts_check(account, faults)],
    )


def account_metadata(account: Account) -> dict[str, Any]:
    """Counts in records; `lag_seconds_max` from the append to Kafka to the commit."""
    lag = account.lag_seconds
    return {
        "read": account.records_read,
        "ledgered": account.ledgered,
        "duplicate": account.duplicate,
        "dead_lettered": account.dead_lettered,
        "quarantined": account.quarantined,
        "lines": account.lines,
        "dagster/partition_row_count": account.lines,
        "offsets": dg.MetadataValue.json(list(account.offsets)),
        "factor_release": ", ".join(account.factor_releases),
        "code_version": ", ".join(account.code_versions),
        "lag_seconds_max": None if lag is None else float(round(lag, 3)),
        "archive_objects": dg.MetadataValue.json(list(account.archive_objects)),
        "archive_bytes": account.archive_bytes,
    }


def accounts_check(account: Account, faults: Sequence[Fault]) -> dg.AssetCheckResult:
    """read = ledgered + duplicate + dead_lettered + quarantined, and every claim has its
    account."""
    parts = account.ledgered + account.duplicate + account.dead_lettered + account.quarantined
    what = [fault.what for fault in faults]
    return dg.AssetCheckResult(
        check_name=ACCOUNTS_CHECK,
        passed=not what and parts == account.records_read,
        metadata={"read": account.records_read, "fates": parts, "faults": what},
        description="; ".join(what[:3]) or None,
    )


def report_windows(
    context: dg.AssetExecutionContext, batch_ids: Sequence[int], days: Sequence[str]
) -> None:
    """The days' windows were posted to in this very run; says so on their own pages, if they are
    few."""
    if len(days) > REPORTED_DAYS_MAX:
        context.log.info(
            "%s days were posted to: their windows' pages follow with the next comparison",
            len(days),
        )
        return
    for name in ("five_minute", "daily"):
        for day in days:
            context.log_event(
                dg.AssetMaterialization(
                    asset_key=dg.AssetKey(["windows", name]),
                    partition=day,
                    description="posted to in the commits of a batch",
                    metadata={"batches": list(batch_ids)},
                )
            )
