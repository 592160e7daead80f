"""Sums of the ledger's lines: kept up with what is recorded, compared with the lines, thrown away.

Belongs here: segments, and what is different in them. Does not: what is asked of the sums
(carbon_ledger.store.inventory, carbon_ledger.store.report_inputs), when they are made
(sensors.entry_sums).

Answers never depend on them: what is not summed yet is read line by line.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import psycopg
from psycopg.rows import class_row

from carbon_ledger.errors import Unavailable
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# A stretch of recording time is summed in one statement. What was loaded at once may be too much
# for the time a statement has: then a shorter one is tried.
WIDTHS: Final = (
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=2),
    timedelta(seconds=5),
    timedelta(milliseconds=200),
)
# How often sums are asked for that were merged meanwhile, before lines are read instead.
TRIES: Final = 3


@dataclass(frozen=True, kw_only=True)
class Summed:
    """What was done: lines summed, segments made, and how many fewer there are by merging."""

    lines: int
    segments: int
    merged: int


@dataclass(frozen=True, kw_only=True)
class SumDifference:
    """Where a sum is not that of its lines: by how much the lines have more, in kgCO2e and in
    lines that stand."""

    local_date: date
    rollup: str
    rollup_id: str
    scope: int
    kgco2e: Decimal
    entries: int


def sum_entries(conn: Connection, seconds: int) -> Summed:
    """Sums what was recorded since the last time, for about so long; the rest is for the next.

    `conn` is the writer's, in autocommit mode. Raises Unavailable `sum_too_slow` where even the
    shortest stretch takes longer than a statement may.
    """
    deadline = time.monotonic() + seconds
    lines = segments = 0
    while segments == 0 or time.monotonic() < deadline:
        found = _sum_next(conn)
        if found is None:
            break
        lines += found
        segments += 1
    row = conn.execute("select windows.merge_sums()").fetchone()
    return Summed(lines=lines, segments=segments, merged=0 if row is None else int(row[0]))


def _sum_next(conn: Connection) -> int | None:
    for width in WIDTHS:
        try:
            row = conn.execute("select windows.sum_up(%s)", (width,)).fetchone()
        except psycopg.errors.QueryCanceled:
            continue
        return None if row is None or row[0] is None else int(row[0])
    raise Unavailable(
        "sum_too_slow",
        f"the lines recorded within {WIDTHS[-1]} cannot be summed in the time a statement has",
    )


def sums_until(conn: Connection, as_of: datetime) -> datetime | None:
    """The latest moment up to `as_of` to which every line is summed; None where no line is."""
    row = conn.execute(
        "select max(recorded_until) from windows.sum_segment where recorded_until <= %s", (as_of,)
    ).fetchone()
    return None if row is None else row[0]


def sum_differences(conn: Connection, days: Sequence[date]) -> list[SumDifference]:
    """Where the sums of local `days` are not those of the lines that they cover; [] if none."""
    asked = {"days": list(days), "months": sorted({day.replace(day=1) for day in days})}
    with conn.transaction(), conn.cursor(row_factory=class_row(SumDifference)) as cursor:
        return cursor.execute(query("sum_differences"), asked).fetchall()


def forget_sums(conn: Connection) -> None:
    """Throws all sums away, so that they are made anew from the lines."""
    with conn.transaction():
        conn.execute("select windows.forget_sums()")
