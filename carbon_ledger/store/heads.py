"""Signed heads and where they have gone.

Belongs here: rows of audit.head and audit.head_publication. Does not: signing
(carbon_ledger.store.seals), sending (pipeline.heads).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import psycopg
from psycopg.rows import kwargs_row

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.notes import parse_signatures
from carbon_ledger.store.connect import query

Connection = psycopg.Connection[tuple[Any, ...]]
Place = Literal["file", "kafka", "witness"]
PLACES: Final[tuple[Place, ...]] = ("file", "kafka", "witness")


@dataclass(frozen=True, kw_only=True)
class Head:
    """A signed head: the tree's first `tree_size` leaves have `root`, says `note`."""

    tree_size: int
    prev_size: int | None
    seal_no: int
    origin: str
    root: bytes
    note: str
    public_key: bytes
    signed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Publication:
    """That a place has a head, and what it answered."""

    tree_size: int
    place: Place
    receipt: str
    published_at: datetime


def latest_head(conn: Connection) -> Head | None:
    """The head of the largest tree, or None before the first seal."""
    with conn.cursor(row_factory=kwargs_row(Head)) as cursor:
        return cursor.execute(query("latest_head"), binary=True).fetchone()


def find_head(conn: Connection, tree_size: int) -> Head | None:
    """The head of the tree of that size, or None."""
    with conn.cursor(row_factory=kwargs_row(Head)) as cursor:
        return cursor.execute(query("find_head"), {"tree_size": tree_size}, binary=True).fetchone()


def list_heads(conn: Connection, limit: int) -> list[Head]:
    """The latest `limit` heads, newest first."""
    with conn.cursor(row_factory=kwargs_row(Head)) as cursor:
        return cursor.execute(query("list_heads"), {"limit": limit}, binary=True).fetchall()


def unpublished(conn: Connection, place: Place, limit: int) -> list[Head]:
    """At most `limit` heads that `place` has not got yet, the smallest tree first."""
    with conn.cursor(row_factory=kwargs_row(Head)) as cursor:
        return cursor.execute(
            query("unpublished_heads"), {"place": place, "limit": limit}, binary=True
        ).fetchall()


def note_publication(conn: Connection, tree_size: int, place: Place, receipt: str) -> None:
    """Remembers that `place` has the head; said twice, it is there once."""
    conn.execute(
        query("insert_publication"),
        {"tree_size": tree_size, "place": place, "receipt": receipt},
    )


def publications(conn: Connection, tree_sizes: list[int]) -> list[Publication]:
    """Where these heads are, by size and place."""
    with conn.cursor(row_factory=kwargs_row(Publication)) as cursor:
        return cursor.execute(query("publications"), {"tree_sizes": tree_sizes}).fetchall()


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What no published head covers yet."""

    unsealed_commits: int
    unsealed_entries: int
    oldest_unsealed: datetime | None
    unpublished_heads: int
    oldest_unpublished: datetime | None


def exposure(conn: Connection) -> Exposure:
    """Commits without a seal and heads that have not left the database for anywhere, counted over
    the whole ledger.
    """
    with conn.cursor(row_factory=kwargs_row(Exposure)) as cursor:
        found = cursor.execute(query("audit_exposure")).fetchall()
    return found[0]


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """Commits that should have a seal by now, and the batches that they are of."""

    commits: int
    entries: int
    oldest: datetime | None
    batch_ids: Sequence[int]


def overdue(conn: Connection, within: timedelta) -> Overdue:
    """Commits that are not sealed `within` that time of their recording."""
    with conn.cursor(row_factory=kwargs_row(Overdue)) as cursor:
        found = cursor.execute(query("overdue_commits"), {"within": within}).fetchall()
    return found[0]


def latest_published(conn: Connection, place: Place, origin: str) -> int | None:
    """Size of the largest tree whose head `place` has, or None."""
    row = conn.execute(query("latest_published"), {"place": place, "origin": origin}).fetchone()
    return row[0] if row else None


def cosignature(conn: Connection, tree_size: int) -> str:
    """The witness's signature line under the head of that size; empty if there is none."""
    for one in publications(conn, [tree_size]):
        if one.place == "witness" and is_cosignature(one.receipt):
            return one.receipt
    return ""


def is_cosignature(receipt: str) -> bool:
    """Whether the witness's answer is its signature, and not that it has a later head already."""
    try:
        parse_signatures(receipt)
    except RejectedRecord:
        return False
    return True
