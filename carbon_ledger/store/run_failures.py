"""Runs that failed, and who was sent word of them: rows of audit.run_failure and failure_notice.

Belongs here: adding and reading them. Does not: finding failed runs (sensors.run_failures), sending
(carbon_assets.failure_notices).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal

from psycopg.rows import class_row

from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

Channel = Literal["webhook", "smtp"]
ERROR_MAX: Final = 4000
OUTCOME_MAX: Final = 300


@dataclass(frozen=True, kw_only=True)
class RunFailure:
    """A run that failed: `part` is what it was asked for with, `error` its first error."""

    run_id: str
    job: str
    part: str
    error: str
    failed_at: datetime


@dataclass(frozen=True, kw_only=True)
class ToldFailure(RunFailure):
    """A failed run and what came of each channel's notices, in words."""

    told: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class UntoldFailure(RunFailure):
    """A failed run that a channel was not told of: how often it was tried, and when last."""

    attempts: int
    last_at: datetime | None


def record_failures(conn: Connection, failures: Iterable[RunFailure]) -> None:
    """Writes failed runs down, each once."""
    for one in failures:
        told = asdict(one) | {"error": one.error[:ERROR_MAX] or "no error was told"}
        conn.execute(query("insert_run_failure"), told)


def unknown_failures(conn: Connection, run_ids: Collection[str]) -> set[str]:
    """Those of the runs that are not written down as failed."""
    known = conn.execute(query("known_run_failures"), {"run_ids": list(run_ids)})
    return set(run_ids) - {run_id for (run_id,) in known}


def untold_failures(
    conn: Connection, channel: Channel, since: datetime, limit: int
) -> list[UntoldFailure]:
    """Failures recorded from `since` on that the channel was not told of, the earliest first."""
    with conn.cursor(row_factory=class_row(UntoldFailure)) as cursor:
        return cursor.execute(
            query("untold_failures"), {"channel": channel, "since": since, "limit": limit}
        ).fetchall()


def record_notice(
    conn: Connection,
    run_id: str,
    channel: Channel,
    attempt: int,
    *,
    is_delivered: bool,
    outcome: str,
) -> None:
    """Writes down an attempt to tell a channel of a failed run."""
    conn.execute(
        query("insert_failure_notice"),
        {
            "run_id": run_id,
            "channel": channel,
            "attempt": attempt,
            "is_delivered": is_delivered,
            "outcome": outcome[:OUTCOME_MAX],
        },
    )


def run_failures(conn: Connection, since: datetime, limit: int = 100) -> list[ToldFailure]:
    """Runs that failed from `since` on, the last one first."""
    with conn.cursor(row_factory=class_row(ToldFailure)) as cursor:
        return cursor.execute(query("run_failures"), {"since": since, "limit": limit}).fetchall()
