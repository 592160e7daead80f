"""Asset checks that read the whole ledger, and the schedule on which they do.

Belongs here: checks too slow for every batch. Does not: the comparisons
(carbon_ledger.store.checks), checks of a batch or a report, which its own asset reports.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from carbon_ledger.streams import Stream
from resources.database import LedgerDatabase

RECONCILE_CHECK = "ledger_reconciles"
# Suites of expectations (carbon_assets.data_quality): never part of the run that makes an asset.
EXPECTATIONS_CHECK = "expectations_hold"


def made_alone(key: dg.AssetKey, *also: str) -> Any:
    """The asset with the checks that its own run reports: no expectations, none of `also`."""
    apart = [dg.AssetCheckKey(key, name) for name in (EXPECTATIONS_CHECK, *also)]
    return dg.AssetSelection.assets(key) - dg.AssetSelection.checks(*apart)


def reconcile_checks(streams: Sequence[Stream]) -> dg.AssetChecksDefinition:
    """Entries, windows and dead letters are as many as the accounts say, and no offset is missing
    or twice. The whole ledger is read once, and what is found is said of every stream."""
    keys = [dg.AssetKey(stream.ledger_key) for stream in streams]

    @dg.multi_asset_check(
        name=RECONCILE_CHECK,
        specs=[
            dg.AssetCheckSpec(
                RECONCILE_CHECK,
                asset=key,
                description="every offset is in exactly one account or accepted gap, and entries, "
                "windows and dead letters are as many as the accounts say",
            )
            for key in keys
        ],
        can_subset=True,
    )
    def check(
        context: dg.AssetCheckExecutionContext, database: LedgerDatabase
    ) -> Iterator[dg.AssetCheckResult]:
        from carbon_ledger.store.checks import check_accounts, reconcile

        with database.connect("reconcile") as conn:
            differences = [*check_accounts(conn), *reconcile(conn)]
        found = [
            f"{d.what} of {d.subject}: expected {d.expected}, found {d.found}" for d in differences
        ]
        for key in sorted(context.selected_asset_check_keys):
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=not found,
                description="; ".join(found[:3]) or None,
                metadata={"differences": found[:100], "difference_count": len(found)},
            )

    return check


def reconcile_job(streams: Sequence[Stream]) -> Any:
    """All of the above, by themselves."""
    keys = [dg.AssetCheckKey(dg.AssetKey(stream.ledger_key), RECONCILE_CHECK) for stream in streams]
    return dg.define_asset_job("reconcile", selection=dg.AssetSelection.checks(*keys))


def nightly_schedule(job: Any) -> dg.ScheduleDefinition:
    """Every night at 02:30 UTC."""
    return dg.ScheduleDefinition(
        name="reconcile_nightly",
        job=job,
        cron_schedule="30 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads the whole ledger and compares it with its accounts.",
    )
