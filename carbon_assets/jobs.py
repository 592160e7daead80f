"""Jobs that sensors and schedules start.

Belongs here: which assets a job has, its tags. Does not: the assets.

Ledger jobs are never retried by Dagster: the planner alone hands a batch out again.
"""

from typing import Any

import dagster as dg

from carbon_assets import factors, reports, windows
from carbon_assets.checks import RECONCILE_CHECK, made_alone
from carbon_ledger.streams import Stream
from resources.database import LedgerDatabase
from resources.kafka import KafkaTopics

NO_RETRY = {"dagster/max_retries": "0"}
# A batch must not wait for the launch of a report; dagster.yaml keeps slots for batches.
URGENT = {"dagster/priority": "10", "carbon/ledger": "yes"}
# dagster.yaml lets one run of upkeep go on at a time: on a small machine more would starve the
# batch.
AT_LEISURE = {"dagster/priority": "-10", "carbon/upkeep": "yes"}


def ledger_job(stream: Stream) -> Any:
    """Works off one claimed batch of the stream; checks that read more than it are not for it."""
    key = dg.AssetKey(stream.ledger_key)
    return dg.define_asset_job(
        f"ledger_{stream.name}",
        selection=made_alone(key, RECONCILE_CHECK),
        tags={**NO_RETRY, **URGENT, "carbon/stream": stream.name},
        description=f"One batch of {stream.title.lower()}, from Kafka to the ledger.",
    )


factors_job = dg.define_asset_job(
    "factors",
    selection=made_alone(factors.KEY),
    description="Loads the shipped emission factors.",
)
windows_job = dg.define_asset_job(
    "windows",
    selection=made_alone(windows.FIVE_MINUTE) | dg.AssetSelection.assets(windows.DAILY),
    tags=AT_LEISURE,
    description="Compares the windows of some days with their entries.",
)
reports_job = dg.define_asset_job(
    "reports",
    selection=made_alone(reports.KEY) | dg.AssetSelection.assets(reports.CDP_KEY),
    tags=AT_LEISURE,
    description="Builds the report tables of one fiscal year.",
)


@dg.op(description="Sends dead letters that are still waiting to dlq.failed_events.")
def relay(context: dg.OpExecutionContext, database: LedgerDatabase, kafka: KafkaTopics) -> None:
    """Every dead letter that was waiting is acknowledged by dlq.failed_events."""
    context.log.info("%s dead letters relayed", kafka.relay_dead_letters(database))


@dg.job(tags=AT_LEISURE, description="Relays the dead letters that a batch could not relay itself.")
def relay_dead_letters() -> None:
    """The one step."""
    relay()
