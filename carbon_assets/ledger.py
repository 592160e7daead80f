"""ledger/<stream>: one asset per stream, from one factory.

Belongs here: the asset's shape. Does not: the work (carbon_assets.ledger_run).
"""

import dagster as dg

from carbon_assets import factors, freshness, ledger_run, reference
from carbon_assets.columns import ENTRY_COLUMNS, table_metadata
from carbon_assets.ledger_run import LedgerConfig
from carbon_assets.partitions import ARRIVAL_HOURS
from carbon_ledger.streams import Stream
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase
from resources.kafka import KafkaTopics
from resources.spark_connect import SparkConnect


def ledger_asset(stream: Stream) -> dg.AssetsDefinition:
    """Entries of the stream, by the UTC hour in which their batch was claimed."""

    @dg.asset(
        key=dg.AssetKey(stream.ledger_key),
        deps=[
            dg.AssetKey(stream.raw_key),
            dg.AssetDep(factors.KEY, partition_mapping=dg.AllPartitionMapping()),
            dg.AssetDep(reference.KEY, partition_mapping=dg.AllPartitionMapping()),
        ],
        partitions_def=ARRIVAL_HOURS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="ledger",
        kinds={"spark", "postgres"},
        owners=["team:data-platform"],
        description=f"{stream.title} as ledger entries: exactly the offsets of a claimed batch, "
        "decoded, validated, "
        "multiplied by a published factor and committed, one transaction per Kafka partition. "
        "Materializing a "
        "partition by hand, or a backfill, computes its batches anew and compares: it adds "
        "nothing.",
        metadata=table_metadata(f"ledger.{stream.name}", ENTRY_COLUMNS),
        freshness_policy=freshness.of_stream(stream.name),
        code_version=code_version(),
        check_specs=[
            dg.AssetCheckSpec(
                ledger_run.ACCOUNTS_CHECK,
                asset=dg.AssetKey(stream.ledger_key),
                description="every record read has exactly one fate, every claimed offset its "
                "account",
            )
        ],
    )
    def ledger(
        context: dg.AssetExecutionContext,
        config: LedgerConfig,
        database: LedgerDatabase,
        kafka: KafkaTopics,
        spark: SparkConnect,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Works off the batch of the config; without one, re-performs the batches of the
        partitions."""
        if config.batch_id is None:
            plans = ledger_run.done_in(database, stream, context.partition_keys)
            extra = {
                f"rebuild_{k}": v for k, v in ledger_run.reperform(plans, database, spark).items()
            }
        else:
            plans = ledger_run.work_off(stream, config, context.run.run_id, database, kafka, spark)
            extra = {"attempt": config.attempt}
        extra["letters_relayed"] = ledger_run.relay_letters(context, database, kafka)
        return ledger_run.outcome(
            context, plans, database, extra, was_posted=config.batch_id is not None
        )

    return ledger
