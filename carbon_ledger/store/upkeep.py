"""What the graph of assets asks the database, beside the way of an event: accounts, windows, what
is due.

Belongs here: reads and comparisons behind assets, checks and sensors. Does not: the manifest's own
statements (carbon_ledger.store.manifest), report figures (carbon_ledger.store.reports).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row, tuple_row

from carbon_ledger.failpoints import failpoint
from carbon_ledger.store.connect import query

Connection = psycopg.Connection[Any]

VERIFY_LOCK: Final = 7204
# How far back a sensor looks for days whose windows were posted to and not compared since.
LOOK_BACK_DAYS: Final = 7
# Two ticks of a planner: under steady load a batch follows the last one sooner.
QUIET_SECONDS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Account:
    """Sum of the closed accounts of some batches; counts in records, `lines` in lines."""

    batches: int
    parts: int
    records_read: int
    ledgered: int
    duplicate: int
    dead_lettered: int
    quarantined: int
    lines: int
    archive_bytes: int
    first_appended_at: datetime | None
    recorded_at: datetime | None
    lag_seconds: Decimal | None
    offsets: tuple[dict[str, Any], ...]
    archive_objects: tuple[str, ...]
    factor_releases: tuple[str, ...]
    code_versions: tuple[str, ...]
    sha256: str


def account_of(conn: Connection, batch_ids: Sequence[int]) -> Account:
    """The account of these batches as committed. `lag_seconds` is the longest way from Kafka to
    commit.

    `sha256` is over ranges, counts and archive hashes in order: equal accounts, equal hash.
    """
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            """
            select batch_id, topic, topic_incarnation, kafka_partition, start_offset, end_offset,
            records_read,
                   ledgered, duplicate, dead_lettered, quarantined, lines, archive_object,
                   archive_bytes, encode(archive_sha256, 'hex') as archive_sha256, factor_release,
                   code_version, first_appended_at, recorded_at,
                   extract(epoch from recorded_at - first_appended_at) as lag_seconds
            from ledger.batch_part
            where batch_id = any(%s)
            order by batch_id, topic, topic_incarnation, kafka_partition
            """,
            (list(batch_ids),),
        )
        parts = cursor.fetchall()
    counts = ("records_read", "ledgered", "duplicate", "dead_lettered", "quarantined", "lines")
    offsets = (
        "batch_id",
        "topic",
        "topic_incarnation",
        "kafka_partition",
        "start_offset",
        "end_offset",
    )
    lines = [
        "\x1f".join(str(part[name]) for name in (*offsets[1:], *counts, "archive_sha256"))
        for part in parts
    ]
    return Account(
        batches=len({part["batch_id"] for part in parts}),
        parts=len(parts),
        **{name: sum(part[name] for part in parts) for name in (*counts, "archive_bytes")},
        first_appended_at=_least(part["first_appended_at"] for part in parts),
        recorded_at=max((part["recorded_at"] for part in parts), default=None),
        lag_seconds=max(
            (part["lag_seconds"] for part in parts if part["lag_seconds"] is not None), default=None
        ),
        offsets=tuple({name: part[name] for name in offsets} for part in parts),
        archive_objects=tuple(part["archive_object"] for part in parts if part["archive_object"]),
        factor_releases=tuple(sorted({part["factor_release"] for part in parts})),
        code_versions=tuple(sorted({part["code_version"] for part in parts})),
        sha256=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def _least(moments: Any) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def batch_days(conn: Connection, batch_ids: Sequence[int]) -> list[date]:
    """The local days these batches posted to, in order."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "select distinct local_date from manifest.batch_window where batch_id = any(%s) "
            "order by 1",
            (list(batch_ids),),
        )
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that should not be; a sentence with the figures in it."""

    what: str


def account_faults(conn: Connection, batch_ids: Sequence[int]) -> list[Fault]:
    """What is wrong with the accounts of batches that are done; [] if every record has its one
    fate.

    Every range has its account, every account its four fates, and the dead letters kept are as many
    as the accounts say.
    """
    with conn.transaction(), conn.cursor(row_factory=class_row(Fault)) as cursor:
        cursor.execute(query("account_faults"), {"batches": list(batch_ids)})
        return cursor.fetchall()


@dataclass(frozen=True, kw_only=True)
class DayVerified:
    """A day's windows beside its entries; `series_different` windows were not the sum of their
    entries."""

    local_date: date
    series: int
    lines: int
    kgco2e: Decimal
    series_different: int
    corrected: int


def verify_windows(
    conn: Connection, days: Sequence[date], run_id: str, *, correct: bool = True
) -> list[DayVerified]:
    """Compares the windows of `days` with their entries; a difference gets a correcting delta.

    Where windows and entries agree nothing is added. With `correct` False nothing is written at
    all.
    """
    months = sorted({day.replace(day=1) for day in days})
    with conn.transaction(), conn.cursor(row_factory=class_row(DayVerified)) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s, 0)", (VERIFY_LOCK,))
        cursor.execute(
            query("verify_windows"), {"days": list(days), "months": months, "correct": correct}
        )
        verified = cursor.fetchall()
        if correct:
            with conn.cursor() as writer:
                writer.executemany(
                    "insert into windows.verification"
                    " (local_date, verified_at, series, lines, series_corrected, run_id)"
                    " values (%s, transaction_timestamp(), %s, %s, %s, %s)",
                    [
                        (d.local_date, d.series, d.lines, d.series_different, run_id)
                        for d in verified
                    ],
                )
        failpoint("windows_verified")
    return verified


def days_to_verify(conn: Connection) -> list[date]:
    """Days that a finished batch of the last week posted to after they were last compared, in

    order.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(query("days_to_verify"), {"look_back_days": LOOK_BACK_DAYS})
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True, kw_only=True)
class YearDue:
    """A year with entries that its last report does not have. `reported_at` None: never
    reported."""

    fiscal_year: int
    changed_at: datetime
    reported_at: datetime | None


def years_to_report(conn: Connection) -> list[YearDue]:
    """Years that something was posted to since their last report, in order."""
    with conn.transaction(), conn.cursor(row_factory=class_row(YearDue)) as cursor:
        cursor.execute(query("years_to_report"), {"look_back_days": LOOK_BACK_DAYS})
        return cursor.fetchall()


def is_quiet(conn: Connection, seconds: int = QUIET_SECONDS) -> bool:
    """Whether no stream has a batch under way or records waiting, nor finished a batch just now."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            """
            select not exists (select from manifest.batch where status in ('planned', 'running'))
               and not exists (select from manifest.stream
                               where pending_since is not null and halted_at is null)
               and not exists (select from manifest.batch
                               where finished_at > clock_timestamp() - make_interval(secs => %s))
            """,
            (seconds,),
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def has_unrelayed_letters(conn: Connection, stream: str, older_than_seconds: int) -> bool:
    """Whether a dead letter of the stream has been waiting this long for dlq.failed_events."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        values = {"stream": stream, "seconds": older_than_seconds}
        cursor.execute(query("has_unrelayed_letters"), values)
        row = cursor.fetchone()
    return bool(row and row[0])


@dataclass(frozen=True, kw_only=True)
class CountrySum:
    """What some days add up to in one country; `quantity` in `unit`, exact."""

    country_iso2: str
    unit: str
    quantity: Decimal
    kgco2e: Decimal
    entries: int


def daily_rows(conn: Connection, days: Sequence[date]) -> int:
    """How many rows windows.daily has of these days."""
    found = conn.execute(
        "select count(*) from windows.daily where local_date = any(%s)", (list(days),)
    ).fetchone()
    return 0 if found is None else int(found[0])


def daily_by_country(conn: Connection, days: Sequence[date]) -> list[CountrySum]:
    """Daily windows of `days` summed by country and unit, in order."""
    with conn.transaction(), conn.cursor(row_factory=class_row(CountrySum)) as cursor:
        cursor.execute(
            """
            select country_iso2, unit, sum(quantity) as quantity, sum(kgco2e) as kgco2e,
                   sum(entries)::bigint as entries
            from windows.daily where local_date = any(%s)
            group by country_iso2, unit order by country_iso2, unit
            """,
            (list(days),),
        )
        return cursor.fetchall()


def report_faults(conn: Connection, snapshot_id: UUID) -> list[Fault]:
    """Where a snapshot is not the sum of the entries known at its moment, or of its countries."""
    with conn.transaction(), conn.cursor(row_factory=class_row(Fault)) as cursor:
        cursor.execute(query("report_faults"), {"snapshot_id": snapshot_id})
        return cursor.fetchall()
