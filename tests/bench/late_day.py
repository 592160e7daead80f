"""What one day that comes late costs in a ledger with a year in it, and what it touches.

Belongs here: the late lines, seconds, days touched, lines read. Does not: the ledger
(tests.bench.reading makes it), what asks for the work (tests/stack/test_late_arrival.py).
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

from carbon_ledger.store.entry_sums import sum_entries
from carbon_ledger.store.upkeep import verify_windows
from tests.support.postgres import Connection, LedgerDatabase, reading, rows_read
from tests.support.reading_ledger import post

LATE_LINES = 1_000
MONTH_DAYS = 28
ENTRIES = ("ledger", "^entry_2")
WINDOWS_TOUCHED = """
    select count(distinct local_date) from windows.five_minute_delta where recorded_at >= %s
"""
SUMS_TOUCHED = """
    select count(distinct local_date)
    from windows.day_sum join windows.sum_segment using (segment_id)
    where recorded_after >= %s
"""


def late_day(database: LedgerDatabase, year: int) -> dict[str, Any]:
    """Seconds of posting LATE_LINES of one day, of comparing its windows with its lines and of
    summing; which days' windows and sums were touched; lines of the ledger read for it. Baseline:
    the same comparison of every day of the year, which is what nobody has to ask for.
    """
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365)]
    late = date(year, 6, 17)
    with closing(database.writer(autocommit=True)) as conn:
        compare(conn, days)
        sum_entries(conn, 3_600)
        begun = time.perf_counter()
        compare(conn, days)
        whole = time.perf_counter() - begun
        (summed, since) = one(
            conn, "select max(recorded_until), clock_timestamp() from windows.sum_segment"
        )
        read = rows_read(conn, *ENTRIES)
        begun = time.perf_counter()
        rows = [
            reading(
                1_900_000_000 + number,
                occurred_from=datetime(late.year, late.month, late.day, tzinfo=UTC)
                + timedelta(minutes=number),
                source_ref=f"LATE-{number}",
            )
            for number in range(LATE_LINES)
        ]
        post(conn, rows)
        posted = time.perf_counter()
        (verified,) = verify_windows(conn, [late], "bench")
        compared = time.perf_counter()
        # What has been recorded is final a moment after.
        while not (done := sum_entries(conn, 3_600)).segments:
            time.sleep(0.1)
        summed_at = time.perf_counter()
        read = rows_read(conn, *ENTRIES) - read
        (windows,) = one(conn, WINDOWS_TOUCHED, since)
        (sums,) = one(conn, SUMS_TOUCHED, summed)
    return {
        "late_lines": LATE_LINES,
        "lines_of_that_day": verified.lines,
        "windows_that_differed": verified.series_different,
        "days_of_windows_touched": windows,
        "days_of_sums_touched": sums,
        "lines_summed": done.lines,
        "lines_read": read,
        "posting_seconds": round(posted - begun, 2),
        "windows_seconds": round(compared - posted, 2),
        "sums_seconds": round(summed_at - compared, 2),
        "windows_of_the_year_seconds": round(whole, 1),
        "ratio_to_windows_of_the_year": round((compared - posted) / whole, 4),
    }


def compare(conn: Connection, days: list[date]) -> None:
    """Compares the windows of days with their lines, some weeks at a time."""
    for first in range(0, len(days), MONTH_DAYS):
        verify_windows(conn, days[first : first + MONTH_DAYS], "bench")


def one(conn: Connection, text: str, *parameters: Any) -> tuple[Any, ...]:
    """The only row."""
    row: tuple[Any, ...] | None = conn.execute(text, parameters or None).fetchone()
    assert row is not None
    return row
