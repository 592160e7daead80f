"""restatement/posting: approved restatements posted by month of activity, so that a backfill can.

Belongs here: the asset and its check. Does not: previews and approvals, which are people's
(`carbon restate`), and the posting itself (spark.restate), which refuses what two people have not
approved.
"""

from datetime import date

import dagster as dg

from carbon_assets.markdown import table
from carbon_assets.partitions import ACTIVITY_MONTHS
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

KEY = dg.AssetKey(["restatement", "posting"])
EQUAL_CHECK = "posting_equals_preview"


class PostingConfig(dg.Config):
    """Which restatement; 0: the one previewed last of those approved that have months to post."""

    restatement_id: int = 0


@dg.asset(
    key=KEY,
    partitions_def=ACTIVITY_MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="restatement",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="Counter-entries of a restatement that two people approved, by month of activity: "
    "each month is computed anew, compared with its preview and posted in one transaction, once. "
    "Months that are posted, or have no part in it, are left alone.",
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            EQUAL_CHECK,
            asset=KEY,
            description="what the restatement posted is its preview, line by line, to the last "
            "digit",
        )
    ],
)
def posting(
    context: dg.AssetExecutionContext, config: PostingConfig, database: LedgerDatabase
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Posts the selected months of the restatement; fails if none is approved."""
    from carbon_ledger import settings
    from carbon_ledger.store.restatement_posting import posting_faults
    from carbon_ledger.store.restatements import find_restatement, list_restatements
    from spark.restate import newest_approved, post

    months = [date.fromisoformat(key) for key in context.partition_keys]
    with database.connect("restatement") as conn:
        number = config.restatement_id
        if not number:
            number = newest_approved(list_restatements(conn)).restatement_id
        done = post(
            conn, settings.load(), number, by=f"dagster run {context.run.run_id}", months=months
        )
        found = find_restatement(conn, number)
        faults = posting_faults(conn, number)
    posted = [one for one in done if not one.was_posted]
    rows = [(f"{one.month:%Y-%m}", one.entries, one.delta_kgco2e) for one in posted]
    return dg.MaterializeResult(
        metadata={
            "restatement": f"R-{number}: {found.target.text}",
            "status": found.status,
            "digest": found.digest.hex(),
            "entries": sum(one.entries for one in posted),
            "dagster/partition_row_count": sum(one.entries for one in posted),
            "months_left": len(found.open_months),
            "posted": table(("month", "entries", "kgCO2e"), rows, right=2),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=EQUAL_CHECK, passed=not faults, metadata={"faults": faults}
            )
        ],
    )
