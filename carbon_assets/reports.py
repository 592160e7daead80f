"""reports/esrs_e1: disclosure tables by fiscal year, each materialization a snapshot.

Belongs here: the asset, its table as shown. Does not: the figures (carbon_ledger.store.reports).
"""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from carbon_assets.columns import REPORT_COLUMNS, table_metadata
from carbon_assets.partitions import FISCAL_YEARS
from carbon_assets.windows import DAILY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.store.reports import EsrsRow

KEY = dg.AssetKey(["reports", "esrs_e1"])
EQUAL_CHECK = "report_equals_ledger"


@dg.asset(
    key=KEY,
    deps=[dg.AssetDep(DAILY, partition_mapping=dg.TimeWindowPartitionMapping())],
    partitions_def=FISCAL_YEARS,
    group_name="reports",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="ESRS E1: gross location-based scope 2 emissions by organization and country, "
    "from the entries as "
    "known at one moment. Each materialization is a snapshot that can be built again to the same "
    "figures.",
    metadata=table_metadata("reports.esrs_e1", REPORT_COLUMNS),
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            EQUAL_CHECK,
            asset=KEY,
            description="the report's totals are the sums of the entries behind them, to the "
            "last digit",
        )
    ],
)
def esrs_e1(context: dg.AssetExecutionContext, database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Builds and keeps the year's snapshot; none where the year has no entries."""
    from carbon_ledger.store.reports import build_esrs_e1
    from carbon_ledger.store.upkeep import report_faults

    snapshot_id, year = uuid4(), int(context.partition_key)
    with database.connect("reports") as conn:
        rows = build_esrs_e1(
            conn,
            year,
            snapshot_id=snapshot_id,
            run_id=context.run.run_id,
            code_version=code_version(),
        )
        faults = [fault.what for fault in report_faults(conn, snapshot_id)]
    check = dg.AssetCheckResult(
        check_name=EQUAL_CHECK, passed=not faults, metadata={"faults": faults}
    )
    return dg.MaterializeResult(metadata=report_metadata(year, rows), check_results=[check])


def report_metadata(year: int, rows: "list[EsrsRow]") -> dict[str, Any]:
    """The report as a table to read; values unrounded."""
    if not rows:
        return {"fiscal_year": year, "dagster/row_count": 0, "report": "no entries in this year"}
    lines = [
        f"| {row.organization_id} | {row.country_iso2 or '**total**'} | {row.value} | {row.unit} "
        f"| {row.entries} "
        f"| {row.substituted_share if row.substituted_share is not None else ''} |"
        for row in rows
    ]
    head = (
        f"{rows[0].datapoint} {rows[0].concept}, fiscal year {year}, as of "
        f"{rows[0].as_of.isoformat()}\n\n"
        "| organization | country | value | unit | entries | share on substituted factors |\n"
        "|---|---|---:|---|---:|---:|\n"
    )
    return {
        "fiscal_year": year,
        "dagster/row_count": len(rows),
        "snapshot_id": str(rows[0].snapshot_id),
        "as_of": rows[0].as_of.isoformat(),
        "report": dg.MetadataValue.md(head + "\n".join(lines)),
    }
