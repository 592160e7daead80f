"""Requests the period postings of years whose metered entries or reference data changed.

Belongs here: when to ask, and for which years. Does not: what is due and what is posted
(carbon_ledger.store.period_postings).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase
from sensors.windows import is_time

if TYPE_CHECKING:
    from carbon_ledger.store.period_postings import YearDue

TICK_SECONDS = 29
YEARS_MAX = 10
# While readings keep coming: a year's sums are a look at all its entries.
EVERY = timedelta(minutes=5)
EVERY_WHEN_QUIET = timedelta(minutes=1)


def plan_periods(
    due: "Sequence[YearDue]", is_quiet: bool, has_key: Callable[[str], bool], now: datetime
) -> list[dg.RunRequest]:
    """One request per year that was not looked at for a while."""
    every = EVERY_WHEN_QUIET if is_quiet else EVERY
    wanted = [
        one
        for one in due
        if has_key(str(one.fiscal_year)) and (one.looked_at is None or now - one.looked_at >= every)
    ]
    return [
        dg.RunRequest(
            run_key=f"{one.fiscal_year} at {now:%Y-%m-%dT%H:%M}", partition_key=str(one.fiscal_year)
        )
        for one in wanted[:YEARS_MAX]
    ]


def make_period_sensor(
    job: object, years: dg.PartitionsDefinition[str], database: LedgerDatabase
) -> dg.SensorDefinition:
    """Asks for the period postings of years that changed, once a minute when nothing else is to be
    done, else every five."""

    @dg.sensor(
        name="post_periods",
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has category 3 of metered energy and market-based scope 2 posted for years "
        "whose readings or instruments changed.",
    )
    def post_periods(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from carbon_ledger.store.period_postings import years_due
        from carbon_ledger.store.upkeep import is_quiet

        now = datetime.now(UTC)
        # A run that was asked for and has not looked yet is not asked for again at every tick.
        if not is_time(context.cursor, EVERY_WHEN_QUIET, now):
            return dg.SensorResult(skip_reason="asked a short while ago", cursor=context.cursor)
        try:
            with database.connect("period postings sensor") as conn:
                requests = plan_periods(
                    years_due(conn), is_quiet(conn), years.has_partition_key, now
                )
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "every year was looked at after its last change",
            cursor=now.isoformat() if requests else context.cursor,
        )

    return post_periods
