"""reports/*: disclosure tables by fiscal year, each materialization a snapshot.

Belongs here: the assets, their tables as shown. Does not: the figures (carbon_ledger.store.reports,
carbon_ledger.reporting).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from carbon_assets import freshness
from carbon_assets.columns import CELL_COLUMNS, REPORT_COLUMNS, table_metadata
from carbon_assets.markdown import table
from carbon_assets.partitions import FISCAL_YEARS
from carbon_assets.report_runs import ReportConfig, ReportRun, refuse_what_fails
from carbon_assets.windows import DAILY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.reporting.tie_outs import Fault
    from carbon_ledger.store.reports import EsrsRow

KEY = dg.AssetKey(["reports", "esrs_e1"])
CDP_KEY = dg.AssetKey(["reports", "cdp_7"])
# A fiscal year that is named for a calendar year begins in it or in the one before.
DAYS_OF_THE_YEAR = dg.TimeWindowPartitionMapping(
    start_offset=-1, allow_nonexistent_upstream_partitions=True
)
EQUAL_CHECK = "report_equals_ledger"
GROSS_CHECK = "gross_figures_are_sums_of_entries"
TOTALS_CHECK = "totals_are_sums_of_their_parts"
TIE_OUT_CHECK = "questions_tie_out"


@dg.asset(
    key=KEY,
    deps=[dg.AssetDep(DAILY, partition_mapping=DAYS_OF_THE_YEAR)],
    partitions_def=FISCAL_YEARS,
    group_name="reports",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="ESRS E1 of every organization, from the entries as known at one moment: energy "
    "and mix, gross scopes 1, 2 and 3, totals, screening, countries, intensity, removals, credits; "
    "every cell with the entries or cells it is made of (reports.snapshot, reports.cell). Each "
    "materialization is a snapshot that can be built again to the same figures.",
    metadata=table_metadata("reports.esrs_e1", REPORT_COLUMNS),
    freshness_policy=freshness.policy(freshness.REPORTS),
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
def esrs_e1(
    context: dg.AssetExecutionContext, config: ReportConfig, database: LedgerDatabase
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Builds and keeps the year's snapshot; none where the year has no entries."""
    from carbon_ledger.reporting.esrs_e1 import NAME, PROFILE, section_faults
    from carbon_ledger.reporting.esrs_e1 import esrs_e1 as esrs
    from carbon_ledger.reporting.tie_outs import esrs_faults
    from carbon_ledger.store.reports import build_esrs_e1
    from carbon_ledger.store.upkeep import report_faults

    snapshot_id, year = uuid4(), int(context.partition_key)
    made = ReportRun(name=NAME, profile=PROFILE, context=context, config=config)
    gross: list[str] = []
    ties: list[str] = []
    with database.connect("reports") as conn:
        refuse_what_fails(conn)
        rows = build_esrs_e1(
            conn,
            year,
            config.moment,
            snapshot_id=snapshot_id,
            run_id=context.run.run_id,
            code_version=code_version(),
        )
        faults = [fault.what for fault in report_faults(conn, snapshot_id)]
        # Of one moment: what is posted in between is in neither, and both are made again.
        for inputs, reason in made.inputs(conn, rows[0].as_of if rows else None):
            name = inputs.organization_id
            with made.attempt(name):
                report = esrs(inputs)
                shown = [one.tables[0] for one in report.sections]
                gross += [
                    f"{name}: {what}"
                    for what in made.keep(conn, report, shown=shown, reason=reason)
                ]
                ties += ties_of(name, esrs_faults(report))
                ties += [f"{name}: {what}" for what in section_faults(report, inputs)]
    yield from made.results(
        {**report_metadata(year, rows), **made.metadata},
        [check(EQUAL_CHECK, faults), check(GROSS_CHECK, gross), check(TOTALS_CHECK, ties)],
    )


@dg.asset(
    key=CDP_KEY,
    deps=[dg.AssetDep(DAILY, partition_mapping=DAYS_OF_THE_YEAR)],
    partitions_def=FISCAL_YEARS,
    group_name="reports",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="Module 7 of CDP's corporate questionnaire for every organization, from the same "
    "entries as ESRS E1 and tied to it, question by question.",
    metadata=table_metadata("reports.cell", CELL_COLUMNS),
    freshness_policy=freshness.policy(freshness.REPORTS),
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
def cdp_7(
    context: dg.AssetExecutionContext, config: ReportConfig, database: LedgerDatabase
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Answers and keeps the year's questions; none where the year has no entries."""
    from carbon_ledger.reporting.cdp import cdp
    from carbon_ledger.reporting.cdp_profile import CDP_PROFILE, NAME
    from carbon_ledger.reporting.esrs_e1 import esrs_e1 as esrs
    from carbon_ledger.reporting.tie_outs import cdp_faults

    made = ReportRun(name=NAME, profile=CDP_PROFILE, context=context, config=config)
    faults: list[str] = []
    with database.connect("reports") as conn:
        refuse_what_fails(conn)
        for inputs, reason in made.inputs(conn):
            with made.attempt(inputs.organization_id):
                report = cdp(inputs)
                made.keep(conn, report, shown=report.tables[:4], reason=reason)
                faults += ties_of(inputs.organization_id, cdp_faults(report, esrs(inputs)))
    yield from made.results(made.metadata, [check(TIE_OUT_CHECK, faults)])


def ties_of(organization: str, faults: "list[Fault]") -> list[str]:
    """Figures that should be one, in words."""
    return [
        f"{organization}: {one.question}: {one.what}: {one.left} and {one.right}" for one in faults
    ]


def check(name: str, faults: list[str]) -> dg.AssetCheckResult:
    """The result of a check that finds faults."""
    return dg.AssetCheckResult(check_name=name, passed=not faults, metadata={"faults": faults})


def report_metadata(year: int, rows: "list[EsrsRow]") -> dict[str, Any]:
    """The report as a table to read; values unrounded."""
    if not rows:
        return {"fiscal_year": year, "dagster/row_count": 0, "report": "no entries in this year"}
    head = (
        f"{rows[0].datapoint} {rows[0].concept}, fiscal year {year}, as of "
        f"{rows[0].as_of.isoformat()}"
    )
    columns = ("organization", "country", "unit", "value", "entries", "on substituted factors")
    lines = [
        (
            *(row.organization_id, row.country_iso2 or "total", row.unit),
            *(row.value, row.entries, row.substituted_share),
        )
        for row in rows
    ]
    return {
        "fiscal_year": year,
        "dagster/row_count": len(rows),
        "snapshot_id": str(rows[0].snapshot_id),
        "as_of": rows[0].as_of.isoformat(),
        "report": table(columns, lines, right=3, title=head),
    }
