"""ledger/supersession: suppliers' figures take the place of estimates of the same purchases.

Belongs here: the asset, its check, its job. Does not: the rules (carbon_ledger.claims), posting
(spark.supersede), when to ask for it (sensors.supersession).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from carbon_ledger.streams import Stream
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from spark.supersede import Outcome

KEY = dg.AssetKey(["ledger", "supersession"])
JOB = "supersession"
ONCE_CHECK = "no_claim_counts_twice"
CLAIM_STREAMS: Final = ("procurement", "supplier")
SHOWN_MAX = 20


def supersession_asset(streams: Sequence[Stream]) -> dg.AssetsDefinition:
    """The postings of supersession, downstream of the ledgers of purchases and declarations."""

    @dg.asset(
        key=KEY,
        # A claim may be of any hour's batches.
        deps=[
            dg.AssetDep(dg.AssetKey(stream.ledger_key), partition_mapping=dg.AllPartitionMapping())
            for stream in streams
            if stream.name in CLAIM_STREAMS
        ],
        group_name="ledger",
        kinds={"postgres"},
        owners=["team:sustainability"],
        description="Of the figures known of one purchase one counts: where a supplier's figure "
        "passes the quality gate, the share of the estimate that it covers is taken back, and "
        "stands again if the figure is retracted. Every claim that something new was said of is "
        "posted in a transaction of its own; with nothing new it changes nothing.",
        metadata={"dagster/table_name": "ledger.claim_standing"},
        code_version=code_version(),
        check_specs=[
            dg.AssetCheckSpec(
                ONCE_CHECK,
                asset=KEY,
                description="a sample of claims, recomputed from their records, says what the "
                "ledger says, and none is held",
            )
        ],
    )
    def supersession(
        context: dg.AssetExecutionContext, database: LedgerDatabase
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Takes what is new into its claims, posts what that changes, and recomputes a sample."""
        from carbon_ledger import settings
        from spark.supersede import faults, supersede

        given = settings.load()
        with database.connect("supersession") as conn:
            outcome = supersede(conn, given)
            checked, found = faults(conn, given, seed=context.run.run_id)
        return dg.MaterializeResult(
            metadata=facts(outcome),
            check_results=[
                dg.AssetCheckResult(
                    check_name=ONCE_CHECK,
                    passed=not found,
                    description=found[0] if found else None,
                    metadata={
                        "claims_recomputed": checked,
                        "faults": len(found),
                        "first_faults": found[:SHOWN_MAX],
                    },
                )
            ],
        )

    return supersession


def facts(outcome: "Outcome") -> dict[str, Any]:
    """What a run did, as metadata."""
    return {
        "claims": outcome.claims,
        "entries_taken": outcome.entries_taken,
        "facts_by_role": dict(sorted(outcome.facts_by_role.items())),
        "rows_added": sum(outcome.facts_by_role.values()),
        "reversals": outcome.reversals,
        "lines_posted": outcome.lines_posted,
        "delta_kgco2e": f"{outcome.delta_kgco2e:f}",
        "held": [f"{one.claim}: {one.cause}" for one in outcome.held[:SHOWN_MAX]],
        "claims_held": len(outcome.held),
        "claims_moved": len(set(outcome.moved)),
    }


# Not retried: the sensor asks again by itself.
supersession_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(KEY),
    tags={"dagster/max_retries": "0", "dagster/priority": "0"},
    description="Takes new purchases and declarations into their claims.",
)
