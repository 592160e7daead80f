"""What change capture knows: the latest state of each captured row, what was made of it, what is to
be sent.

Belongs here: the tables of schema `capture`. Does not: what follows from a change
(pipeline.sources.cdc_rows), sending.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

PAGE: Final = 500


@contextmanager
def lost_is_unavailable() -> Iterator[None]:
    """A database that goes away within the block is Unavailable `database_lost`."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        said = " ".join(str(error).split())[:200]
        raise Unavailable(
            "database_lost", f"the connection to PostgreSQL is lost: {said}"
        ) from error


@dataclass(frozen=True, kw_only=True)
class CapturedRow:
    """A row of a captured table. `image` None: there is no such row, or there is none any more."""

    row_key: str
    header_key: str
    stream_position: str = ""
    snapshot_position: str = ""
    image: dict[str, str | None] | None = None
    activity_ref: str | None = None


@dataclass(frozen=True, kw_only=True)
class CapturedActivity:
    """The latest event of an activity: its fields without the revision, and which that was."""

    activity_ref: str
    row_key: str
    revision: int
    sent: dict[str, Any]
    is_standing: bool

    def cancelled(self) -> CapturedActivity:
        """What it is after one more event, which cancels it."""
        return replace(self, revision=self.revision + 1, is_standing=False)


@dataclass(frozen=True, kw_only=True)
class Pending:
    """An event or a letter that Kafka has not acknowledged yet."""

    pending_no: int
    kind: str
    body: dict[str, Any]
    payload: bytes | None


@dataclass(frozen=True, kw_only=True)
class CapturedCounts:
    """How much is known of a source; `orphans` are lines whose header is not there."""

    headers: int
    lines: int
    orphans: int
    standing: int
    pending: int


class CapturedRows:
    """The tables, for one source; every statement is in the caller's transaction."""

    def __init__(self, connection: Connection, source: str) -> None:
        self.connection = connection
        self.source = source

    def lock(self) -> None:
        """Keeps others from working on the source for as long as the connection lives.

        Raises ConfigurationError `source_in_use`.
        """
        row = self.connection.execute(
            query("lock_captured_source"), {"source": self.source}
        ).fetchone()
        if row is None or not row[0]:
            raise ConfigurationError(
                "source_in_use",
                f"another process is reading {self.source}; one at a time keeps its order",
            )

    def row(self, role: str, row_key: str) -> CapturedRow | None:
        """What is known of a row."""
        with self.connection.cursor(row_factory=kwargs_row(CapturedRow)) as cursor:
            return cursor.execute(
                query("captured_row"), {"source": self.source, "role": role, "row_key": row_key}
            ).fetchone()

    def lines(self, header_key: str) -> list[CapturedRow]:
        """The lines of a header, those that were deleted too."""
        with self.connection.cursor(row_factory=kwargs_row(CapturedRow)) as cursor:
            return cursor.execute(
                query("captured_lines"), {"source": self.source, "header_key": header_key}
            ).fetchall()

    def older_rows(self, role: str, position: str) -> Iterator[CapturedRow]:
        """Rows that are there, and of which nothing is known since `position`; read page by page.

        What the caller does to a row that it was given does not change which follow.
        """
        after = ""
        while True:
            with self.connection.cursor(row_factory=kwargs_row(CapturedRow)) as cursor:
                page = cursor.execute(
                    query("captured_older_rows"),
                    {
                        "source": self.source,
                        "role": role,
                        "position": position,
                        "after": after,
                        "limit": PAGE,
                    },
                ).fetchall()
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].row_key

    def put_row(self, role: str, row: CapturedRow) -> None:
        """Keeps the row as it is now."""
        values = {**vars(row), "source": self.source, "role": role}
        values["image"] = None if row.image is None else Jsonb(row.image)
        self.connection.execute(query("put_captured_row"), values)

    def activity(self, activity_ref: str) -> CapturedActivity | None:
        """The latest event of an activity, if there was one."""
        with self.connection.cursor(row_factory=kwargs_row(CapturedActivity)) as cursor:
            return cursor.execute(
                query("captured_activity"), {"source": self.source, "activity_ref": activity_ref}
            ).fetchone()

    def put_activity(self, activity: CapturedActivity) -> None:
        """Keeps the activity as it is now."""
        self.connection.execute(
            query("put_captured_activity"),
            {**vars(activity), "source": self.source, "sent": Jsonb(activity.sent)},
        )

    def add_pending(self, kind: str, body: Mapping[str, Any], payload: bytes | None = None) -> None:
        """Writes down what is to be sent: kind `event`, or `letter` with its bytes."""
        self.connection.execute(
            query("insert_captured_pending"),
            {"source": self.source, "kind": kind, "body": Jsonb(dict(body)), "payload": payload},
        )

    def pending(self, limit: int) -> list[Pending]:
        """What is to be sent, in its order, at most `limit`."""
        with self.connection.cursor(row_factory=kwargs_row(Pending)) as cursor:
            return cursor.execute(
                query("captured_pending"), {"source": self.source, "limit": limit}
            ).fetchall()

    def remove_pending(self, last: int) -> None:
        """Forgets what Kafka has acknowledged, up to and with number `last`."""
        self.connection.execute(
            query("delete_captured_pending"), {"source": self.source, "last": last}
        )

    def progress(self, topic: str) -> int | None:
        """Offset of the first record of a topic that is not applied; None: nothing of it is."""
        row = self.connection.execute(
            query("captured_progress"), {"source": self.source, "topic": topic}
        ).fetchone()
        return None if row is None else int(row[0])

    def put_progress(self, topic: str, next_offset: int) -> None:
        """Notes up to where a topic is applied, in the transaction that applies it."""
        self.connection.execute(
            query("put_captured_progress"),
            {"source": self.source, "topic": topic, "next_offset": next_offset},
        )

    def counts(self) -> CapturedCounts:
        """How much is known of the source."""
        row = self.connection.execute(query("captured_counts"), {"source": self.source}).fetchone()
        names = ("headers", "lines", "orphans", "standing", "pending")
        return CapturedCounts(**dict(zip(names, row or (0,) * 5, strict=True)))
