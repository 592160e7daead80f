"""Names of the schedules that reports are made by, and which reports each makes.

Belongs here: names alone, since every run imports them. Does not: when they are due
(carbon_ledger.organisation.report_calendar).
"""

from typing import Final

MONTHLY: Final = "monthly_accrual"
QUARTERLY: Final = "quarterly_pre_close"
CSRD: Final = "annual_csrd"
CDP: Final = "annual_cdp"
SCHEDULES: Final = (MONTHLY, QUARTERLY, CSRD, CDP)
# By the name that a report is kept under.
REPORTS_OF: Final[dict[str, tuple[str, ...]]] = {
    MONTHLY: ("esrs_e1", "cdp"),
    QUARTERLY: ("esrs_e1", "cdp"),
    CSRD: ("esrs_e1",),
    CDP: ("cdp",),
}
