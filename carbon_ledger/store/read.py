"""Reading the ledger: accounts, totals, what was known when, windows.

Belongs here: questions whose answers change nothing. Does not: whether the answers agree with each
other (carbon_ledger.store.checks), report tables (carbon_ledger.store.reports), the manifest's own
life (carbon_ledger.store.manifest).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import class_row, dict_row, kwargs_row

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.store.checks import check_accounts, check_windows, reconcile
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

__all__ = [
    "BY",
    "OpenBatch",
    "OpenGap",
    "PartitionAccount",
    "StreamAccount",
    "TotalRow",
    "WindowRow",
    "check_accounts",
    "check_windows",
    "daily",
    "entries_as_of",
    "final_moment",
    "five_minute",
    "knowledge_horizon",
    "reconcile",
    "settled_horizon",
    "stream_accounts",
    "totals",
]

BY: Final = (
    "total",
    "country",
    "facility",
    "month",
    "day",
    "organization",
    "activity",
    "stream",
)

# A moment that lies no further ahead of the horizon than this is waited for.
SETTLE: Final = timedelta(seconds=2)
POLL: Final = timedelta(milliseconds=50)


@dataclass(frozen=True, kw_only=True)
class PartitionAccount:
    """How far one Kafka partition of the current topic is: the next offset to plan, to commit."""

    kafka_partition: int
    first_offset: int
    planned_offset: int
    committed_offset: int


@dataclass(frozen=True, kw_only=True)
class OpenBatch:
    """The batch that is planned, running, or dead and in the way."""

    batch_id: int
    status: str
    attempt: int
    failures: int
    arrival_partition: str
    run_id: str | None
    error: str | None
    lease_until: datetime | None


@dataclass(frozen=True, kw_only=True)
class OpenGap:
    """An accident of the topic that nobody has decided on yet."""

    gap_id: int
    kind: str
    kafka_partition: int | None
    expected_offset: int | None
    found_offset: int | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class StreamAccount:
    """What became of a stream's records: read = ledgered + duplicate + dead_lettered + quarantined.

    Counts are over every batch ever committed; `partitions` are those of the current topic.
    """

    stream: str
    topic: str
    topic_id: str | None
    topic_incarnation: int
    read: int
    ledgered: int
    duplicate: int
    dead_lettered: int
    quarantined: int
    lines: int
    offsets_without_record: int
    letters_to_relay: int
    last_committed_at: datetime | None
    halted_reason: str | None
    halted_at: datetime | None
    partitions: tuple[PartitionAccount, ...]
    open_batch: OpenBatch | None
    open_gaps: tuple[OpenGap, ...]

    def lag(self, end_offsets: dict[int, int]) -> int:
        """Offsets of the topic that are not in the accounts, given its end offset by partition."""
        done = {one.kafka_partition: one.committed_offset for one in self.partitions}
        return sum(max(0, end - done.get(number, 0)) for number, end in end_offsets.items())


def stream_accounts(conn: Connection) -> list[StreamAccount]:
    """The account of every stream that the planner has seen, from one snapshot."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("stream_accounts")).fetchall()
    return [_stream_account(row) for row in rows]


def pending_ages(conn: Connection) -> dict[str, Decimal]:
    """By stream, for how many seconds its oldest record has been waiting to be claimed."""
    return dict(conn.execute(query("pending_ages")).fetchall())


def _stream_account(row: dict[str, Any]) -> StreamAccount:
    batch = None
    if row["batch_id"] is not None:
        batch = OpenBatch(
            batch_id=row["batch_id"],
            status=row["batch_status"],
            attempt=row["attempt"],
            failures=row["failures"],
            arrival_partition=row["arrival_partition"],
            run_id=row["run_id"],
            error=row["error"],
            lease_until=row["lease_until"],
        )
    counts = ("read", "ledgered", "duplicate", "dead_lettered", "quarantined", "lines")
    return StreamAccount(
        stream=row["stream"],
        topic=row["topic"],
        topic_id=row["topic_id"],
        topic_incarnation=row["topic_incarnation"],
        **{name: row[name] for name in counts},
        offsets_without_record=row["offsets_without_record"],
        letters_to_relay=row["letters_to_relay"],
        last_committed_at=row["last_committed_at"],
        halted_reason=row["halted_reason"],
        halted_at=row["halted_at"],
        partitions=tuple(PartitionAccount(**one) for one in row["partitions"]),
        open_batch=batch,
        open_gaps=tuple(OpenGap(**one) for one in row["gaps"]),
    )


@dataclass(frozen=True, kw_only=True)
class TotalRow:
    """A sum of entries that share a key, scope, basis and unit; exact, kgCO2e at 12 decimals.

    `entries` is the number of entries that stand, `lines` that of all lines, reversals included.
    """

    key: str
    scope: int
    category: int | None
    basis: str
    unit: str
    quantity: Decimal
    kgco2e: Decimal
    entries: int
    lines: int


def totals(
    conn: Connection,
    *,
    by: str = "total",
    as_of: datetime | None = None,
    start: date | None = None,
    end: date | None = None,
    organization: str | None = None,
) -> list[TotalRow]:
    """Sums by one of BY, over local dates [start, end), as known at `as_of` (None: now).

    Raises ConfigurationError `unknown_grouping`. An answer as of a moment before
    `knowledge_horizon` never changes.
    """
    if by not in BY:
        raise ConfigurationError(
            "unknown_grouping", f"totals by {by!r} are not known; valid are {', '.join(BY)}"
        )
    with conn.cursor(row_factory=class_row(TotalRow)) as cursor:
        return cursor.execute(
            query("totals"),
            {"by": by, "as_of": as_of, "start": start, "end": end, "organization": organization},
        ).fetchall()


def entries_as_of(
    conn: Connection,
    known_at: datetime,
    *,
    start: date | None = None,
    end: date | None = None,
    organization: str | None = None,
    facility: str | None = None,
) -> Iterator[EntryRow]:
    """The entries that stood at `known_at`, with local dates in [start, end), in order of activity.

    Streamed from the server inside one transaction that stays open until the last one is taken.
    """
    with (
        conn.transaction(),
        conn.cursor(name="entries_as_of", row_factory=kwargs_row(EntryRow)) as cursor,
    ):
        cursor.itersize = 5000
        cursor.execute(
            query("entries_as_of"),
            {
                "known_at": known_at,
                "start": start,
                "end": end,
                "organization": organization,
                "facility": facility,
            },
        )
        yield from cursor


def knowledge_horizon(conn: Connection) -> datetime:
    """The moment up to which as-of answers are final: nothing can be recorded before it any more.

    Ask for it in a statement before the one that reads, under READ COMMITTED: a snapshot taken
    earlier may lack what was committed meanwhile.
    """
    row = conn.execute(query("knowledge_horizon")).fetchone()
    if row is None:
        raise BrokenInvariant("knowledge_horizon", "the database gave no horizon")
    horizon: datetime = row[0]
    return horizon


def settled_horizon(conn: Connection, as_of: datetime) -> datetime:
    """The knowledge horizon, waited for where `as_of` is a moment just past.

    A writer counts from the second that it began in, so while one is under way the horizon may be
    before a moment that it had passed already.
    """
    horizon = knowledge_horizon(conn)
    for _ in range(SETTLE // POLL):
        if not horizon < as_of <= horizon + SETTLE:
            break
        time.sleep(POLL.total_seconds())
        horizon = knowledge_horizon(conn)
    return horizon


def final_moment(conn: Connection, as_of: datetime | None) -> datetime:
    """`as_of`, or the latest moment whose answer is final; ConfigurationError `as_of_not_final`
    for a later one, of which a report could not be made again.
    """
    if as_of is None:
        return knowledge_horizon(conn)
    as_of = as_of.astimezone(UTC)
    horizon = settled_horizon(conn, as_of)
    if as_of > horizon:
        raise ConfigurationError(
            "as_of_not_final",
            f"what is known as of {as_of.isoformat()} is not final yet; "
            f"valid is up to {horizon.isoformat()}, which grows with the clock",
        )
    return as_of


@dataclass(frozen=True, kw_only=True)
class WindowRow:
    """One series in one window: five minutes from `window_start` (UTC), or the day `local_date`.

    `window_start` is None for a day, which begins when the site's calendar says so.
    """

    organization_id: str
    facility_id: str
    country_iso2: str
    window_start: datetime | None
    local_date: date
    scope: int
    category: int | None
    basis: str
    activity_type: str
    unit: str
    quantity: Decimal
    kgco2e: Decimal
    entries: int
    lines: int


def five_minute(
    conn: Connection,
    *,
    start: date,
    end: date,
    facility: str | None = None,
    organization: str | None = None,
) -> list[WindowRow]:
    """Five-minute windows of the local dates [start, end), in order."""
    return _windows(conn, "windows_five_minute", start, end, facility, organization)


def daily(
    conn: Connection,
    *,
    start: date,
    end: date,
    facility: str | None = None,
    organization: str | None = None,
) -> list[WindowRow]:
    """Daily windows of the local dates [start, end), in order."""
    return _windows(conn, "windows_daily", start, end, facility, organization)


def _windows(
    conn: Connection,
    name: str,
    start: date,
    end: date,
    facility: str | None,
    organization: str | None,
) -> list[WindowRow]:
    parameters = {"start": start, "end": end, "facility": facility, "organization": organization}
    with conn.cursor(row_factory=class_row(WindowRow)) as cursor:
        return cursor.execute(query(name), parameters).fetchall()
