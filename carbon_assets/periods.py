"""periods/status: every closed period, what came late of it, and whether it can be built again.

Belongs here: the asset, its checks, its job and schedule. Does not: the rule of late entries
(carbon_ledger.organisation.period_close), closing, which people do (`carbon period`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from carbon_assets.jobs import AT_LEISURE
from carbon_assets.markdown import table
from carbon_assets.reports import KEY as REPORTS
from carbon_assets.windows import DAILY
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase
from sensors.report_schedules import ORGANIZATION_TAG, PERIOD_TAG

if TYPE_CHECKING:
    from carbon_ledger.store.period_status import PeriodFault, PeriodStatus
    from carbon_ledger.store.rows import Connection

KEY: Final = dg.AssetKey(["periods", "status"])
LATE_CHECK: Final = "late_entries_follow_the_rule"
AGAIN_CHECK: Final = "closed_periods_are_reproduced"
SHOWN_MAX: Final = 50


@dg.asset(
    key=KEY,
    deps=[
        dg.AssetDep(DAILY, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(REPORTS, partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name="periods",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="State of every period of every organization: open, soft-closed, closed, reported. "
    "What was recorded after a close is listed with what becomes of it: below the threshold a "
    "prior-period adjustment of the next period, from it on a comparative to restate. The same as "
    "`carbon period status`.",
    metadata={"dagster/table_name": "ledger.period_state"},
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            LATE_CHECK,
            asset=KEY,
            description="closed figures and late entries are what the ledger has, to the last "
            "digit; each late entry is shown with one later period; none reaches the threshold "
            "at which the comparative must be restated",
        ),
        dg.AssetCheckSpec(
            AGAIN_CHECK,
            asset=KEY,
            description="every period, built again as of its own close, is what two people agreed "
            "to, to the byte, and so are the reports of those that are reported: rows of scope 2, "
            "and the whole reports that the period binds, as kept and as made again",
        ),
    ],
)
def period_status(
    context: dg.AssetExecutionContext, database: LedgerDatabase
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Looks at every period that was ever decided on, and every year with entries; for a schedule
    also at what stands in the way of closing its months."""
    from carbon_ledger import settings
    from carbon_ledger.policy import Policy
    from carbon_ledger.store.period_status import late_faults, reproduction_faults, statuses

    policy = Policy(gwp_set=settings.load()["CARBON_GWP_SET"])
    with database.connect("periods") as conn:
        found = statuses(conn, policy)
        faults, altered = late_faults(conn, found), reproduction_faults(conn)
        obstacles = in_the_way(conn, context.run.tags)
    due = [one for one in found if one.judgement and one.judgement.is_restatement_due]
    late = dg.AssetCheckResult(
        check_name=LATE_CHECK,
        passed=not faults and not due,
        # Wrong sums are a fault of the ledger; a comparative to restate is people's to decide.
        severity=dg.AssetCheckSeverity.ERROR if faults else dg.AssetCheckSeverity.WARN,
        metadata={
            "faults": told(faults),
            "restatement_due": [f"{one.organization_id} {one.period.text}" for one in due],
        },
    )
    again = dg.AssetCheckResult(
        check_name=AGAIN_CHECK, passed=not altered, metadata={"faults": told(altered)}
    )
    return dg.MaterializeResult(metadata={**facts(found), **obstacles}, check_results=[late, again])


def in_the_way(conn: "Connection", tags: Mapping[str, str]) -> dict[str, Any]:
    """What stands in the way of closing the months that a schedule asked about, as metadata."""
    from carbon_ledger.organisation.period_close import period_of
    from carbon_ledger.organisation.report_calendar import months_of
    from carbon_ledger.store.period_obstacles import obstacles_of
    from carbon_ledger.store.read import knowledge_horizon
    from carbon_ledger.store.reference import fiscal_years

    if PERIOD_TAG not in tags:
        return {}
    now, as_of = datetime.now(UTC), knowledge_horizon(conn)
    first_month = fiscal_years(conn).first_month(tags[ORGANIZATION_TAG])
    rows = [
        (month, one.code, one.message)
        for month in months_of(tags[PERIOD_TAG], first_month)
        for one in obstacles_of(
            conn, tags[ORGANIZATION_TAG], period_of(month, first_month), as_of, now
        )
    ]
    return {"in_the_way": table(("period", "code", "what"), rows) if rows else "nothing"}


def told(faults: "list[PeriodFault]") -> list[str]:
    """Faults as sentences."""
    return [f"{one.organization_id} {one.period}: {one.what}" for one in faults[:SHOWN_MAX]]


def facts(found: "list[PeriodStatus]") -> dict[str, Any]:
    """Periods and their late entries as tables to read; kgCO2e."""
    rows = [
        (
            *(one.organization_id, one.period.text, one.state),
            one.standing.as_of.isoformat() if one.standing.as_of else "",
            one.judgement.treatment if one.judgement else "none",
            ", ".join(part.period for part in one.shown_in),
            one.judgement.lines if one.judgement else 0,
        )
        for one in found
    ]
    late = [
        (
            *(one.organization_id, one.period.text, key.scope, key.category, key.basis),
            *(cell.lines, cell.kgco2e),
        )
        for one in found
        for key, cell in sorted(one.late.items())
    ]
    heads = ("organization", "period", "state", "as of", "late entries", "shown with", "late lines")
    late_heads = ("organization", "period", "scope", "category", "basis", "lines", "kgCO2e")
    return {
        "dagster/row_count": len(found),
        "late_lines": sum(one.judgement.lines for one in found if one.judgement),
        "periods": table(heads, rows, right=1),
        "late_entries": table(late_heads, late, right=2) if late else "none",
    }


periods_job = dg.define_asset_job(
    "periods",
    selection=dg.AssetSelection.assets(KEY),
    tags=AT_LEISURE,
    description="Looks at every closed period, and at what came late.",
)
periods_nightly = dg.ScheduleDefinition(
    name="periods_nightly",
    job=periods_job,
    cron_schedule="20 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every period, after the night's other checks.",
)
