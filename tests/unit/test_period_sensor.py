"""When period postings are asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from carbon_assets.partitions import FISCAL_YEARS
from carbon_ledger.store.period_postings import YearDue
from sensors.period_postings import plan_periods

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("year", "ago", "is_quiet", "is_asked"),
    [
        (2025, None, False, True),
        (2025, timedelta(minutes=4), False, False),
        (2025, timedelta(minutes=5), False, True),
        (2025, timedelta(seconds=59), True, False),
        (2025, timedelta(minutes=1), True, True),
        # A year that no partition has yet would fail every tick.
        (2999, None, True, False),
    ],
)
def test_a_year_is_asked_for_soon_when_quiet_and_now_and_then_else(
    year: int, ago: timedelta | None, is_quiet: bool, is_asked: bool
) -> None:
    due = [YearDue(fiscal_year=year, looked_at=None if ago is None else NOW - ago)]
    found = plan_periods(due, is_quiet, FISCAL_YEARS.has_partition_key, NOW)
    assert [one.partition_key for one in found] == ([str(year)] if is_asked else [])


def test_one_tick_asks_for_no_more_than_ten_years() -> None:
    due = [YearDue(fiscal_year=year, looked_at=None) for year in range(2000, 2020)]
    assert len(plan_periods(due, True, FISCAL_YEARS.has_partition_key, NOW)) == 10
