"""Keeps the sums of the ledger's lines up with what is recorded.

Belongs here: when. Does not: the sums (carbon_ledger.store.entry_sums).

The tick does the work itself: a run of its own would cost more than what it does. Nothing waits for
it; what is not summed yet is read line by line.
"""

from typing import Final

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase

TICK_SECONDS: Final = 10
# Of a tick: below the time that Dagster gives one.
WORK_SECONDS: Final = 20


def make_sums_sensor(database: LedgerDatabase) -> dg.SensorDefinition:
    """Sums what was recorded since the last tick."""

    @dg.sensor(
        name="sum_entries",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sums the ledger's new lines by day and by month, so that inventories and "
        "reports do not read a year line by line. Starts no run.",
    )
    def keep_sums(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from carbon_ledger.store.entry_sums import sum_entries

        try:
            with database.connect("sums sensor") as conn:
                done = sum_entries(conn, WORK_SECONDS)
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message)
        return dg.SensorResult(
            skip_reason=f"summed {done.lines} lines in {done.segments} segments; "
            f"{done.merged} fewer segments by merging"
            if done.segments or done.merged
            else "nothing was recorded since the last sums"
        )

    return keep_sums
