"""How old the newest materialization of an asset may be before Dagster says that it is stale.

Belongs here: the windows, with their reasons. Does not: lag of minutes, which the planner observes
(Dagster judges no window below a minute, and only every half minute).

A source that sends once a month is not stale after a day, so each stream has its own.
"""

from datetime import timedelta
from typing import Final

import dagster as dg

# Warned after the first, failed after the second.
Window = tuple[timedelta, timedelta]

STREAMS: Final[dict[str, Window]] = {
    # Meters send every few minutes; a day without any is a fault of the plant or of the way.
    "iot_energy": (timedelta(hours=6), timedelta(hours=24)),
    # Vehicles and shipments rest over a long weekend.
    "transport": (timedelta(days=2), timedelta(days=4)),
    "logistics": (timedelta(days=2), timedelta(days=4)),
    # Invoices come with the month, at the latest.
    "procurement": (timedelta(days=8), timedelta(days=35)),
    # Suppliers declare once a month, some of them late.
    "supplier": (timedelta(days=35), timedelta(days=50)),
    # The register is filled in once a month.
    "activities": (timedelta(days=35), timedelta(days=50)),
}
OTHER_STREAM: Final[Window] = (timedelta(days=8), timedelta(days=35))
# Windows follow each batch of any stream.
WINDOWS: Final[Window] = STREAMS["iot_energy"]
# Reports follow each posting, and each month's end by schedule (five working days and holidays).
REPORTS: Final[Window] = (timedelta(days=8), timedelta(days=42))


def policy(window: Window) -> dg.FreshnessPolicy:
    """The policy of a window."""
    warn, fail = window
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warn)


def of_stream(name: str) -> dg.FreshnessPolicy:
    """The policy of a stream's ledger."""
    return policy(STREAMS.get(name, OTHER_STREAM))
