"""reports/*: disclosure tables by fiscal year, each materialization a snapshot.

Belongs here: the assets, their tables as shown. Does not: the figures (carbon_ledger.store.reports,
carbon_ledger.reporting).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from carbon_assets.columns import CELL_COLUMNS, REPORT_COLUMNS, table_metadata
from carbon_assets.partitions import FISCAL_YEARS
from carbon_assets.windows import DAILY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.reporting.inputs import ReportInputs
    from carbon_ledger.reporting.tables import Report, Table
    from carbon_ledger.reporting.tie_outs import Fault
    from carbon_ledger.store.reports import EsrsRow
    from carbon_ledger.store.rows import Connection

KEY = dg.AssetKey(["reports", "esrs_e1"])
CDP_KEY = dg.AssetKey(["reports", "cdp_7"])
EQUAL_CHECK = "report_equals_ledger"
GROSS_CHECK = "gross_figures_are_sums_of_entries"
TOTALS_CHECK = "totals_are_sums_of_their_parts"
TIE_OUT_CHECK = "questions_tie_out"
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
    description="ESRS E1 of every organization, from the entries as known at one moment: energy "
    "and mix, gross scopes 1, 2 and 3, totals, screening, countries, intensity, removals, credits; "
    "every cell with the entries or cells it is made of (reports.snapshot, reports.cell). Each "
    "materialization is a snapshot that can be built again to the same figures.",
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
        dg.AssetCheckSpec(
            TOTALS_CHECK,
            asset=KEY,
            description="totals are the sums that the taxonomy says they are, in every year shown",
        ),
    ],
)
def esrs_e1(context: dg.AssetExecutionContext, database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Builds and keeps the year's snapshot; none where the year has no entries."""
    from carbon_ledger.reporting.esrs_e1 import NAME, PROFILE, section_faults
    from carbon_ledger.reporting.esrs_e1 import esrs_e1 as esrs
    from carbon_ledger.reporting.tie_outs import esrs_faults
    from carbon_ledger.store.reports import build_esrs_e1
    from carbon_ledger.store.upkeep import report_faults

    snapshot_id, year = uuid4(), int(context.partition_key)
    made = Kept(name=NAME, profile=PROFILE, context=context)
    gross: list[str] = []
    ties: list[str] = []
    with database.connect("reports") as conn:
        rows = build_esrs_e1(
            conn,
            year,
            snapshot_id=snapshot_id,
            run_id=context.run.run_id,
            code_version=code_version(),
        )
        faults = [fault.what for fault in report_faults(conn, snapshot_id)]
        # Of one moment: what is posted in between is in neither, and both are made again.
        for inputs, is_due in made.due(conn, rows[0].as_of if rows else None):
            report = esrs(inputs)
            shown = [one.tables[0] for one in report.sections]
            found = made.keep(conn, report, shown=shown, is_due=is_due)
            gross += [f"{inputs.organization_id}: {what}" for what in found]
            ties += ties_of(inputs.organization_id, esrs_faults(report))
            ties += [f"{inputs.organization_id}: {what}" for what in section_faults(report, inputs)]
    return dg.MaterializeResult(
        metadata={**report_metadata(year, rows), **made.metadata},
        check_results=[
            check(EQUAL_CHECK, faults),
            check(GROSS_CHECK, gross),
            check(TOTALS_CHECK, ties),
        ],
    )


@dg.asset(
    key=CDP_KEY,
    deps=[dg.AssetDep(DAILY, partition_mapping=dg.TimeWindowPartitionMapping())],
    partitions_def=FISCAL_YEARS,
    group_name="reports",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="Module 7 of CDP's corporate questionnaire for every organization, from the same "
    "entries as ESRS E1 and tied to it, question by question.",
    metadata=table_metadata("reports.cell", CELL_COLUMNS),
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            TIE_OUT_CHECK,
            asset=CDP_KEY,
            description="breakdowns add up to gross emissions, categories and energy are those of "
            "ESRS E1, to the last digit",
        )
    ],
)
def cdp_7(context: dg.AssetExecutionContext, database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Answers and keeps the year's questions; none where the year has no entries."""
    from carbon_ledger.reporting.cdp import cdp
    from carbon_ledger.reporting.cdp_profile import CDP_PROFILE, NAME
    from carbon_ledger.reporting.esrs_e1 import esrs_e1 as esrs
    from carbon_ledger.reporting.tie_outs import cdp_faults

    made, faults = Kept(name=NAME, profile=CDP_PROFILE, context=context), []
    with database.connect("reports") as conn:
        for inputs, is_due in made.due(conn):
            report = cdp(inputs)
            made.keep(conn, report, shown=report.tables[:4], is_due=is_due)
            faults += ties_of(inputs.organization_id, cdp_faults(report, esrs(inputs)))
    return dg.MaterializeResult(
        metadata=made.metadata, check_results=[check(TIE_OUT_CHECK, faults)]
    )


def ties_of(organization: str, faults: "list[Fault]") -> list[str]:
    """Figures that should be one, in words."""
    return [
        f"{organization}: {one.question}: {one.what}: {one.left} and {one.right}" for one in faults
    ]


def check(name: str, faults: list[str]) -> dg.AssetCheckResult:
    """The result of a check that finds faults."""
    return dg.AssetCheckResult(check_name=name, passed=not faults, metadata={"faults": faults})


@dataclass(kw_only=True)
class Kept:
    """Which reports of a run are due, and what was kept of them."""

    name: str
    profile: str
    context: dg.AssetExecutionContext
    metadata: dict[str, Any] = field(default_factory=dict)

    def due(
        self, conn: "Connection", as_of: datetime | None = None
    ) -> "Iterator[tuple[ReportInputs, bool]]":
        """The inputs of each organization, and whether its report is to be kept now."""
        from carbon_ledger import settings
        from carbon_ledger.policy import Policy
        from carbon_ledger.store.report_inputs import read_report_inputs
        from carbon_ledger.store.report_snapshots import kept_at

        year, now = int(self.context.partition_key), datetime.now(UTC)
        newest = kept_at(conn, self.name, year, self.profile)
        is_asked = ASKED_BY_A_SENSOR not in self.context.run.tags
        policy = Policy(gwp_set=settings.load()["CARBON_GWP_SET"])
        self.metadata["fiscal_year"] = year
        for inputs in read_report_inputs(
            conn, year, as_of=as_of, code_version=code_version(), policy=policy
        ):
            was = newest.get(inputs.organization_id)
            yield inputs, is_asked or was is None or now - was >= KEPT_EVERY

    def keep(
        self, conn: "Connection", report: "Report", shown: "Sequence[Table]", *, is_due: bool
    ) -> list[str]:
        """Keeps a report if it is due, shows some of its tables, and tells the faults of its gross
        figures. One that is not due is looked at all the same, and taken back.
        """
        from carbon_ledger.reporting.esrs_e1 import NAME
        from carbon_ledger.store.report_snapshots import gross_faults, keep_report

        snapshot_id = uuid4()
        with conn.transaction(force_rollback=not is_due):
            keep_report(conn, report, snapshot_id=snapshot_id, run_id=self.context.run.run_id)
            faults = gross_faults(conn, snapshot_id) if report.name == NAME else []
        if is_due:
            self.metadata[f"snapshot_{report.organization_id}"] = str(snapshot_id)
        self.metadata[f"report_{report.organization_id}"] = dg.MetadataValue.md(
            "\n\n".join(map(markdown, shown))
        )
        return faults


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
