"""Commits to seal: entries of a batch's part or of no batch, written as the ledger's writers do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from carbon_ledger.entries import EntryRow, sealed
from carbon_ledger.store.commits import PartCoordinates, insert_commit
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_entries, post_entries
from tests.support.postgres import Connection, Part, reading

MONTH = date(2024, 3, 1)
_numbers = itertools.count()


def prepare(conn: Connection) -> None:
    """The months that the entries are of."""
    ensure_month(conn, MONTH)
    conn.commit()


def entries(count: int, recorded_at: datetime) -> list[EntryRow]:
    """That many entries that nobody else has."""
    return [
        sealed(
            replace(
                reading(next(_numbers) % 40_000, source_ref=f"meter-{next(_numbers)}"),
                recorded_at=recorded_at,
            )
        )
        for _ in range(count)
    ]


def begin_posting(conn: Connection, count: int) -> list[EntryRow]:
    """A posting of no batch, in the connection's transaction, which stays open."""
    recorded_at = begin_writing(conn)
    rows = entries(count, recorded_at)
    post_entries(conn, rows, recorded_at=recorded_at, kind="correction")
    return rows


def post(conn: Connection, count: int) -> list[EntryRow]:
    """A committed posting of no batch."""
    rows = begin_posting(conn, count)
    conn.commit()
    return rows


def commit_part(conn: Connection, part: Part, lines: int | None = None) -> list[EntryRow]:
    """The part's transaction, committed; an entry per record unless `lines` says else."""
    opened = part.open(conn)
    records = part.end_offset - part.start_offset
    count = records if lines is None else lines
    rows = entries(count, opened["recorded_at"])
    insert_entries(conn, rows)
    part.account(conn, ledgered=min(count, records), duplicate=records - min(count, records))
    if rows:
        list_part(conn, part, opened, rows)
    part.close(conn)
    conn.commit()
    return rows


def list_part(conn: Connection, part: Part, opened: Any, rows: Sequence[EntryRow]) -> None:
    """The commit's row of a part that was opened, as the writer of a batch leaves it."""
    insert_commit(
        conn,
        kind="part",
        recorded_at=opened["recorded_at"],
        entry_ids=[row.entry_id.bytes for row in rows],
        content_sha256s=[row.content_sha256 for row in rows],
        part=PartCoordinates(
            batch_id=part.batch_id,
            topic=part.topic,
            topic_incarnation=opened["topic_incarnation"],
            kafka_partition=part.kafka_partition,
            start_offset=part.start_offset,
        ),
    )


def contents(rows: Sequence[EntryRow]) -> list[bytes]:
    """Their content hashes."""
    return [row.content_sha256 for row in rows]
