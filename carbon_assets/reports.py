"""reports/esrs_e1: disclosure tables by fiscal year, each materialization a snapshot.

Belongs here: the asset, its tables as shown. Does not: the figures (carbon_ledger.store.reports,
carbon_ledger.reporting).
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from carbon_assets.columns import REPORT_COLUMNS, table_metadata
from carbon_assets.partitions import FISCAL_YEARS
from carbon_assets.windows import DAILY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.reporting.tables import Table
    from carbon_ledger.store.reports import EsrsRow
    from carbon_ledger.store.rows import Connection

KEY = dg.AssetKey(["reports", "esrs_e1"])
EQUAL_CHECK = "report_equals_ledger"
GROSS_CHECK = "gross_figures_are_sums_of_entries"
# A sensor asks for reports whenever something was posted; whole reports are kept this often then,
# and always when a person or a schedule asks.
KEPT_EVERY = timedelta(hours=1)
ASKED_BY_A_SENSOR = "dagster/sensor_name"


@dg.asset(
    key=KEY,
    deps=[dg.AssetDep(DAILY, partition_mapping=dg.TimeWindowPartitionMapping())],
    partitions_def=FISCAL_YEARS,
    group_name="reports",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="ESRS E1 of every organization, from the entries as known at one moment: gross "
    "scopes 1, 2 and 3, totals, screening, countries, intensity; every cell with the entries or "
    "cells it is made of (reports.snapshot, reports.cell). Each materialization is a snapshot that "
    "can be built again to the same figures.",
    metadata=table_metadata("reports.esrs_e1", REPORT_COLUMNS),
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            EQUAL_CHECK,
            asset=KEY,
            description="the report's totals are the sums of the entries behind them, to the "
            "last digit",
        ),
        dg.AssetCheckSpec(
            GROSS_CHECK,
            asset=KEY,
            description="gross figures of scopes 1, 2 and each category are what plain SQL adds up",
        ),
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
        kept, gross = keep_reports(
            conn,
            year,
            run_id=context.run.run_id,
            is_asked=ASKED_BY_A_SENSOR not in context.run.tags,
        )
    return dg.MaterializeResult(
        metadata={**report_metadata(year, rows), **kept},
        check_results=[
            dg.AssetCheckResult(check_name=name, passed=not found, metadata={"faults": found})
            for name, found in ((EQUAL_CHECK, faults), (GROSS_CHECK, gross))
        ],
    )


def keep_reports(
    conn: "Connection", year: int, *, run_id: str, is_asked: bool
) -> tuple[dict[str, Any], list[str]]:
    """Makes and keeps the whole report of each organization: metadata, and faults of its sums."""
    from carbon_ledger.reporting.esrs_e1 import NAME, PROFILE, esrs_e1
    from carbon_ledger.store.report_inputs import read_report_inputs
    from carbon_ledger.store.report_snapshots import gross_faults, keep_report, kept_at

    now = datetime.now(UTC)
    newest = kept_at(conn, NAME, year, PROFILE)
    metadata: dict[str, Any] = {}
    faults: list[str] = []
    for inputs in read_report_inputs(conn, year, code_version=code_version()):
        organization = inputs.organization_id
        was = newest.get(organization)
        if not is_asked and was is not None and now - was < KEPT_EVERY:
            continue
        report, snapshot_id = esrs_e1(inputs), uuid4()
        keep_report(conn, report, snapshot_id=snapshot_id, run_id=run_id)
        faults += [f"{organization}: {what}" for what in gross_faults(conn, snapshot_id)]
        metadata[f"snapshot_{organization}"] = str(snapshot_id)
        metadata[f"report_{organization}"] = dg.MetadataValue.md(markdown(report.tables[0]))
    return metadata, faults


def markdown(table: "Table") -> str:
    """A table of a report to read in the web UI; figures unrounded, blank where there is none."""
    heads = ["", *(column.heading for column in table.columns)]
    lines = [f"{table.table_id} {table.title}", "", "| " + " | ".join(heads) + " |"]
    lines.append("|---|" + "---:|" * len(table.columns))
    for row in table.rows:
        cells = (row.cells.get(column.column_id) for column in table.columns)
        values = ("" if one is None or one.value is None else f"{one.value}" for one in cells)
        lines.append(f"| {row.label} | " + " | ".join(values) + " |")
    return "\n".join(lines)


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
