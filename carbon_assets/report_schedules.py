"""Jobs and schedules of the reports that a company wants on its calendar.

Belongs here: which assets each schedule makes. Does not: when (reference data of kind
report_schedule, sensors.report_schedules).
"""

from typing import Any

import dagster as dg

from carbon_assets import completeness, periods, reports
from carbon_assets.checks import made_alone
from carbon_assets.jobs import AT_LEISURE, NO_RETRY
from carbon_ledger.report_names import CDP, CSRD, MONTHLY, QUARTERLY, REPORTS_OF
from resources.database import LedgerDatabase
from sensors.report_schedules import make_report_schedule

ASSET_OF = {"esrs_e1": reports.KEY, "cdp": reports.CDP_KEY}
SELECTION_OF = {
    "esrs_e1": made_alone(reports.KEY),
    "cdp": dg.AssetSelection.assets(reports.CDP_KEY),
}
# What is looked at with the reports: how periods stand, and what they lack.
BESIDE: dict[str, tuple[dg.AssetKey, ...]] = {
    MONTHLY: (periods.KEY,),
    QUARTERLY: (periods.KEY, completeness.KEY),
    CSRD: (periods.KEY,),
    CDP: (),
}
TOLD = {
    MONTHLY: "The year so far after each month, and how periods stand.",
    QUARTERLY: "The year so far before a quarter is closed, what it lacks, and how periods stand.",
    CSRD: "ESRS E1 of the year that is over.",
    CDP: "CDP's module 7 of the year that is over.",
}


def report_job(schedule: str) -> Any:
    """The job of one schedule."""
    selection = dg.AssetSelection.assets(*BESIDE[schedule])
    for report in REPORTS_OF[schedule]:
        selection = selection | SELECTION_OF[report]
    return dg.define_asset_job(
        f"report_{schedule}",
        selection=selection,
        tags={**AT_LEISURE, **NO_RETRY},
        description=TOLD[schedule],
    )


report_jobs = {schedule: report_job(schedule) for schedule in REPORTS_OF}


def report_schedules(database: LedgerDatabase) -> list[dg.ScheduleDefinition]:
    """One for each kind of report that companies want on their calendars."""
    return [
        make_report_schedule(
            job,
            schedule,
            ["__".join(ASSET_OF[report].path) for report in REPORTS_OF[schedule]],
            database,
            TOLD[schedule],
        )
        for schedule, job in report_jobs.items()
    ]
