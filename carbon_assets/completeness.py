"""reports/completeness: what was expected of the sources in a year and is not in the ledger.

Belongs here: the asset, its check, its job and schedule. Does not: what is a gap
(carbon_ledger.completeness).
"""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from carbon_assets.jobs import AT_LEISURE
from carbon_assets.markdown import table
from carbon_assets.partitions import FISCAL_YEARS
from carbon_assets.reference import KEY as REGISTER
from carbon_assets.windows import DAILY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.completeness import Completeness

KEY = dg.AssetKey(["reports", "completeness"])
COMPLETE_CHECK = "sources_are_complete"
GAPS_SHOWN = 100


@dg.asset(
    key=KEY,
    deps=[
        dg.AssetDep(DAILY, partition_mapping=dg.TimeWindowPartitionMapping()),
        dg.AssetDep(REGISTER),
    ],
    partitions_def=FISCAL_YEARS,
    group_name="reports",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="Coverage of the expected sources of a calendar year, every gap by name: silent "
    "meters, lost files, missing months, invoices unlike their meters. The same as `carbon "
    "completeness`.",
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            COMPLETE_CHECK,
            asset=KEY,
            description="no expected source is missing and every control total agrees",
        )
    ],
)
def completeness_report(
    context: dg.AssetExecutionContext, database: LedgerDatabase
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Compares a year with what is expected of it; what is not due yet is not missing."""
    from carbon_ledger.store.completeness import completeness

    year = int(context.partition_key)
    with database.connect("completeness") as conn:
        found = completeness(conn, date(year, 1, 1), date(year + 1, 1, 1), datetime.now(UTC))
    check = dg.AssetCheckResult(
        check_name=COMPLETE_CHECK,
        passed=found.is_complete,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"gaps": [gap.message for gap in found.gaps[:GAPS_SHOWN]]},
    )
    return dg.MaterializeResult(metadata=report_metadata(found), check_results=[check])


def report_metadata(found: "Completeness") -> dict[str, Any]:
    """Coverage and gaps, to read."""
    gaps = [(one.kind, one.stream, one.message) for one in found.gaps[:GAPS_SHOWN]]
    return {
        "coverage_pct": "nothing is expected"
        if found.coverage_pct is None
        else f"{found.coverage_pct:.2f}",
        "slots_expected": found.expected,
        "slots_present": found.present,
        "control_totals": found.controls,
        "gap_count": len(found.gaps),
        "dagster/partition_row_count": len(found.gaps),
        "gaps": table(("kind", "stream", "what"), gaps) if gaps else "none",
    }


completeness_job = dg.define_asset_job(
    "completeness",
    selection=dg.AssetSelection.assets(KEY),
    tags=AT_LEISURE,
    description="Compares one calendar year with what is expected of its sources.",
)


@dg.schedule(
    name="completeness_nightly",
    job=completeness_job,
    cron_schedule="50 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The calendar year under way, and in its first quarter the one before.",
)
def completeness_nightly(context: dg.ScheduleEvaluationContext) -> Any:
    """One run a night for each year that may still gain something."""
    today = context.scheduled_execution_time.date()
    years = [today.year, today.year - 1] if today.month <= 3 else [today.year]
    return [dg.RunRequest(run_key=f"{today}:{year}", partition_key=str(year)) for year in years]
