"""Declared restores: that the database was put back, and the name of its heads from then on.

Belongs here: rows of audit.restore. Does not: seeing that it was put back (pipeline.heads), the
restore itself (devstack.backup).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import kwargs_row

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.store.connect import query

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Restore:
    """One declared restore; `seen_note` is the head of `seen_size` leaves that the database lost,
    `tree_size` the size of the last one it still had.
    """

    restore_no: int
    origin: str
    previous_origin: str
    tree_size: int
    seen_size: int
    seen_note: str
    declared_by: str
    reason: str
    declared_at: datetime


def restores(conn: Connection) -> list[Restore]:
    """Every declared restore, in order."""
    with conn.cursor(row_factory=kwargs_row(Restore)) as cursor:
        return cursor.execute(query("restores")).fetchall()


def current_origin(conn: Connection, origin: str) -> str:
    """The name to sign heads under: `origin`, or that of the last declared restore."""
    found = restores(conn)
    return found[-1].origin if found else origin


def is_given_up(conn: Connection, origin: str, tree_size: int) -> bool:
    """Whether a head of that name and size is of a state that a declared restore gave up."""
    return any(
        one.previous_origin == origin and one.tree_size < tree_size <= one.seen_size
        for one in restores(conn)
    )


def declare(
    conn: Connection,
    *,
    previous_origin: str,
    first_origin: str,
    tree_size: int,
    seen_size: int,
    seen_note: str,
    by: str,
    reason: str,
) -> Restore:
    """Adds a restore; heads are called `first_origin`/restore-n from here on.

    Raises RejectedRecord `restore_unexplained` where nobody or no reason is named.
    """
    for name, value in (("by", by), ("reason", reason)):
        if not value.strip() or not value.isprintable():
            raise RejectedRecord(
                "restore_unexplained",
                f"a restore is declared by somebody, for a reason; {name} is {value[:60]!r}",
                field=name,
                value=value,
                valid="who, and why, on one line",
            )
    number = len(restores(conn)) + 1
    with conn.cursor(row_factory=kwargs_row(Restore)) as cursor:
        found = cursor.execute(
            query("insert_restore"),
            {
                "restore_no": number,
                "origin": f"{first_origin}/restore-{number}",
                "previous_origin": previous_origin,
                "tree_size": tree_size,
                "seen_size": seen_size,
                "seen_note": seen_note,
                "declared_by": by,
                "reason": reason,
            },
        ).fetchall()
    return found[0]
