"""audit/heads: what commits posted, sealed in one tree, signed, and published outside the database.

Belongs here: the asset, its checks, its job. Does not: sealing (carbon_ledger.store.seals), sending
(pipeline.heads), when to ask for it (sensors.audit).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_ledger.streams import Stream
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from pipeline.heads import Outcome

KEY = dg.AssetKey(["audit", "heads"])
JOB = "seal"
PUBLISHED_CHECK = "heads_are_published"
RECOMPUTES_CHECK = "tree_recomputes"
SEALED_CHECK = "commits_are_sealed"
# Seals that one run makes at most; each call of the sealer is bounded by itself.
CALLS_MAX = 20


def heads_asset(streams: Sequence[Stream]) -> dg.AssetsDefinition:
    """The tree's signed heads, downstream of every stream's ledger."""

    @dg.asset(
        key=KEY,
        # Any seal may be of any hour's batches, and of corrections that are of no batch.
        deps=[
            dg.AssetDep(dg.AssetKey(stream.ledger_key), partition_mapping=dg.AllPartitionMapping())
            for stream in streams
        ],
        group_name="audit",
        kinds={"postgres", "kafka"},
        owners=["team:data-platform"],
        description="Every commit's entries as leaves of one append-only tree (RFC 6962), whose "
        "signed heads go to files, to Kafka topic audit.ledger.heads and to a witness. "
        "Materializing seals what is ready and publishes what is not yet outside; with nothing to "
        "do it changes nothing.",
        metadata={"dagster/table_name": "audit.head"},
        code_version=code_version(),
        check_specs=[
            dg.AssetCheckSpec(
                PUBLISHED_CHECK,
                asset=KEY,
                description="every place has every head: files, Kafka, the witness if there is one",
            ),
            dg.AssetCheckSpec(
                RECOMPUTES_CHECK,
                asset=KEY,
                description="the last head's root is what the stored leaves and nodes lead to",
            ),
        ],
    )
    def heads(context: dg.AssetExecutionContext, database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Seals what is ready, publishes every head that a place lacks, and looks again."""
        from carbon_ledger import settings
        from carbon_ledger.errors import BrokenInvariant
        from carbon_ledger.store.heads import latest_head, unpublished
        from carbon_ledger.store.tree import check_edge
        from pipeline.heads import places, seal_and_publish

        given = settings.load()
        with database.connect_as_sealer("sealer") as conn:
            outcomes = []
            for _ in range(CALLS_MAX):
                outcomes.append(seal_and_publish(conn, given))
                if not outcomes[-1].sealed or outcomes[-1].unavailable:
                    break
            lacking = [place for place in places(given) if unpublished(conn, place, 1)]
            head = latest_head(conn)
            try:
                checked = check_edge(conn, head.tree_size, head.root) if head else 0
                fault = ""
            except BrokenInvariant as error:
                checked, fault = 0, error.message
        return dg.MaterializeResult(
            metadata=facts(outcomes),
            check_results=[
                dg.AssetCheckResult(
                    check_name=PUBLISHED_CHECK,
                    passed=not lacking,
                    description=outcomes[-1].unavailable,
                    metadata={"lacking": lacking},
                ),
                dg.AssetCheckResult(
                    check_name=RECOMPUTES_CHECK,
                    passed=not fault,
                    description=fault or None,
                    metadata={"subtrees_recomputed": checked},
                ),
            ],
        )

    return heads


def facts(outcomes: "Sequence[Outcome]") -> dict[str, Any]:
    """What a run sealed and published, as metadata."""
    sealed = [one for outcome in outcomes for one in outcome.sealed]
    published = [one for outcome in outcomes for one in outcome.published]
    found: dict[str, Any] = {
        "seals": len(sealed),
        "rows_added": len(sealed),
        "entries_sealed": sum(one.leaves for one in sealed),
        "published": [f"{one.tree_size} to {one.place}" for one in published[-20:]],
    }
    if sealed:
        found["seal_range"] = f"{sealed[0].seal_no} to {sealed[-1].seal_no}"
    head = outcomes[-1].head if outcomes else None
    if head is not None:
        found["tree_size"] = head.tree_size
        found["root"] = head.root.hex()
        found["head"] = dg.MetadataValue.md(f"```\n{head.note}```")
        found["signed_at"] = head.signed_at.isoformat()
    return found


# Not retried: the sensor asks again by itself, at most every few seconds.
seal_job = dg.define_asset_job(
    JOB,
    # What looks for the sealer's absence has a run of its own.
    selection=dg.AssetSelection.assets(KEY)
    - dg.AssetSelection.checks(dg.AssetCheckKey(KEY, SEALED_CHECK)),
    tags={"dagster/max_retries": "0", "dagster/priority": "5", "carbon/seal": "yes"},
    description="Seals what was committed since the last seal, and publishes the signed head.",
)
