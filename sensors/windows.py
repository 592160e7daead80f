"""Requests windows and reports for what was posted: exact days and years, from what commits wrote
down.

Belongs here: when to ask, and for which keys. Does not: what is due (carbon_ledger.store.upkeep).

No automation condition and no inferred mapping stands between ledgers (by arrival) and windows (by
activity): those two ask for the wrong days.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from carbon_ledger.errors import CarbonError
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.store.rows import Connection
    from carbon_ledger.store.upkeep import YearDue

TICK_SECONDS = 9
RANGES_MAX = 10
YEARS_MAX = 10
# While batches keep coming: windows are compared this often, reports rebuilt this often.
WINDOWS_EVERY = timedelta(minutes=5)
WINDOWS_EVERY_WHEN_QUIET = timedelta(minutes=1)
REPORTS_EVERY = timedelta(minutes=1)
# A year whose reports failed is asked for again so much later.
AFTER_FAILURE = timedelta(minutes=30)
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

DayRanges = Callable[[Sequence[date]], list[tuple[str, str]]]


def plan_windows(ranges: Sequence[tuple[str, str]], now: datetime) -> list[dg.RunRequest]:
    """One request per run of consecutive days, at most RANGES_MAX; the rest is for the next
    tick."""
    return [
        dg.RunRequest(
            run_key=f"{first}/{last} at {now:%Y-%m-%dT%H:%M:%S}",
            tags={RANGE_TAGS[0]: first, RANGE_TAGS[1]: last},
        )
        for first, last in ranges[:RANGES_MAX]
    ]


def plan_reports(
    due: "Sequence[YearDue]", is_quiet: bool, has_key: Callable[[str], bool], now: datetime
) -> list[dg.RunRequest]:
    """One request per year that changed: at once when no batch is under way, else once in
    REPORTS_EVERY."""
    wanted = [
        one
        for one in due
        if has_key(str(one.fiscal_year))
        and (is_quiet or one.reported_at is None or now - one.reported_at >= REPORTS_EVERY)
    ]
    return [
        dg.RunRequest(
            run_key=f"{one.fiscal_year} as changed at {one.changed_at.isoformat()}, {now:%H:%M}",
            partition_key=str(one.fiscal_year),
        )
        for one in wanted[:YEARS_MAX]
    ]


def is_time(cursor: str | None, every: timedelta, now: datetime) -> bool:
    """Whether `every` has passed since the moment in the cursor; an unreadable cursor is none."""
    try:
        last = datetime.fromisoformat(cursor or "")
    except ValueError:
        return True
    return last.tzinfo is None or not timedelta(0) <= now - last < every


def is_comparison_due(cursor: str | None, is_quiet: bool, now: datetime) -> bool:
    """Whether to compare windows: soon when nothing else is to be done, else now and then."""
    if is_quiet:
        return is_time(cursor, WINDOWS_EVERY_WHEN_QUIET, now)
    return cursor is not None and is_time(cursor, WINDOWS_EVERY, now)


def make_windows_sensor(
    windows_job: object, day_ranges: DayRanges, database: LedgerDatabase
) -> dg.SensorDefinition:
    """Asks for a comparison of the days posted to since their last one, at most every
    WINDOWS_EVERY."""

    @dg.sensor(
        name="compare_windows",
        job=windows_job,  # type: ignore[arg-type]
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the windows of days that were posted to compared with their entries.",
    )
    def compare_windows(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from carbon_ledger.store.upkeep import days_to_verify, is_quiet

        now = datetime.now(UTC)
        try:
            with database.connect("windows sensor") as conn:
                quiet = is_quiet(conn)
                if not is_comparison_due(context.cursor, quiet, now):
                    # Without a cursor the clock starts now: the first batches are not to be
                    # disturbed.
                    return dg.SensorResult(
                        skip_reason="compared a short while ago, or batches are under way",
                        cursor=context.cursor or now.isoformat(),
                    )
                requests = plan_windows(day_ranges(days_to_verify(conn)), now)
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "no day was posted to since its last comparison",
            cursor=now.isoformat() if requests else context.cursor,
        )

    return compare_windows


def failed_lately(instance: dg.DagsterInstance, job_name: str, year: int, now: datetime) -> bool:
    """Whether the year's latest run failed less than AFTER_FAILURE ago: what it found broken does
    not mend itself, and each failure is told to somebody."""
    found = instance.get_run_records(
        dg.RunsFilter(job_name=job_name, tags={"dagster/partition": str(year)}), limit=1
    )
    return bool(found) and (
        found[0].dagster_run.status == dg.DagsterRunStatus.FAILURE
        and now - found[0].create_timestamp < AFTER_FAILURE
    )


def make_reports_sensor(
    reports_job: object,
    years: dg.PartitionsDefinition[str],
    database: LedgerDatabase,
    failing_units: "Callable[[Connection], list[str]]",
) -> dg.SensorDefinition:
    """Asks for the reports of years that changed since their last snapshot, unless what they rest
    on fails its expectations, or the year's last run failed a short while ago."""

    @dg.sensor(
        name="build_reports",
        job=reports_job,  # type: ignore[arg-type]
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the reports built of years that something was posted to.",
    )
    def build_reports(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from carbon_ledger.store.upkeep import is_quiet, years_to_report

        now = datetime.now(UTC)
        try:
            with database.connect("reports sensor") as conn:
                due, quiet = years_to_report(conn), is_quiet(conn)
                failing = failing_units(conn) if due else []
        except CarbonError as error:
            return dg.SensorResult(skip_reason=error.message)
        if failing:
            return dg.SensorResult(
                skip_reason=f"nothing is published while {failing[0]} fails its expectations; "
                "`carbon quality show` says what"
            )
        name = str(getattr(reports_job, "name", ""))
        due = [
            one for one in due if not failed_lately(context.instance, name, one.fiscal_year, now)
        ]
        requests = plan_reports(due, quiet, years.has_partition_key, now)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "every report is of what the ledger has",
        )

    return build_reports
