"""How assets are cut in time. Which key a moment has, and whether that key exists yet.

Belongs here: the partitionings. Does not: assets.

`end_offset=1`: the hour, day or year that is still under way has its key too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import dagster as dg

# Ledgers: the UTC hour in which a batch was claimed, not the hour of its events.
ARRIVAL_HOURS = dg.HourlyPartitionsDefinition(start_date="2026-01-01-00:00", end_offset=1)
# Windows: the day of activity in the site's own calendar.
ACTIVITY_DAYS = dg.DailyPartitionsDefinition(start_date="2000-01-01", end_offset=1)
# Restatements: the month of activity, a partition of the ledger's table. A calendar east of
# Greenwich may be a month ahead of UTC.
ACTIVITY_MONTHS = dg.MonthlyPartitionsDefinition(start_date="2000-01-01", end_offset=2)
# Reports: the fiscal year, named for the calendar year in which it ends; which days it has is each
# organization's. One that is named for the next calendar year may be under way.
FISCAL_YEARS = dg.TimeWindowPartitionsDefinition(
    start="2000", fmt="%Y", cron_schedule="0 0 1 1 *", end_offset=2
)


def existing_days(days: Iterable[date]) -> list[str]:
    """Keys of those `days` that have one; a site far east of Greenwich may be a day ahead of
    them."""
    return [
        day.isoformat() for day in sorted(days) if ACTIVITY_DAYS.has_partition_key(day.isoformat())
    ]


def day_ranges(days: Iterable[date]) -> list[tuple[str, str]]:
    """`days` that have a key, as runs of consecutive ones: (first key, last key), in order."""
    ranges: list[list[date]] = []
    for key in existing_days(set(days)):
        day = date.fromisoformat(key)
        if ranges and (day - ranges[-1][-1]).days == 1:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return [(one[0].isoformat(), one[-1].isoformat()) for one in ranges]
