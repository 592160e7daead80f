"""Files of suppliers in the database: sightings, claims by content, outcomes.

Belongs here: manifest.drop_sighting, ledger.source_file, ledger.source_file_outcome, the lock of
whoever works files off. Does not: SFTP, what is in a file (pipeline.drops).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.rows import kwargs_row

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A file as it was last seen; `since` it has this size (bytes) and time (s since 1970)."""

    supplier_id: str
    name: str
    size_bytes: int
    mtime: int
    since: datetime
    is_whole: bool = False
    looks_cut: bool = False
    handled_size: int | None = None
    handled_mtime: int | None = None

    @property
    def is_handled(self) -> bool:
        """Whether this very version has its receipt."""
        return (self.handled_size, self.handled_mtime) == (self.size_bytes, self.mtime)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileClaim:
    """A file that is claimed: its receipt, once it has one, and the other name under which the
    same bytes count already, if they do.
    """

    claimed_at: datetime
    receipt: str | None
    counted_as: str | None
    counted_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a file: `fate` is `read`, `duplicate` or `refused`."""

    supplier_id: str
    sha256: bytes
    name: str
    fate: str
    receipt: str
    reason_code: str | None = None
    reason: str | None = None
    rows_accepted: int = 0
    rows_rejected: int = 0
    kept_at: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FileAccount:
    """A claimed file and, if it is worked off, its outcome; `sha256` in hex."""

    supplier_id: str
    name: str
    sha256: str
    size_bytes: int
    claimed_at: datetime
    fate: str | None
    reason_code: str | None
    reason: str | None
    rows_accepted: int | None
    rows_rejected: int | None
    kept_at: str | None


def take_lock(conn: Connection) -> bool:
    """Whether this connection is now the one that works files off, until it is closed."""
    row = conn.execute(query("try_drop_lock")).fetchone()
    return bool(row and row[0])


def sightings(conn: Connection) -> list[Sighting]:
    """Every file that was there at the last look."""
    with conn.cursor(row_factory=kwargs_row(Sighting)) as cursor:
        return cursor.execute(query("drop_sightings")).fetchall()


def note_sightings(conn: Connection, found: Sequence[Sighting]) -> None:
    """Notes files that are new, or have another size or time than before."""
    if not found:
        return
    with conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(query("upsert_drop_sighting"), [asdict(one) for one in found])


def forget_sightings(conn: Connection, gone: Sequence[Sighting]) -> None:
    """Forgets files that are not there any more."""
    if not gone:
        return
    with conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(query("delete_drop_sighting"), [asdict(one) for one in gone])


def note_handled(conn: Connection, sighting: Sighting) -> None:
    """Notes that this version of the file has its receipt."""
    conn.execute(query("handle_drop_sighting"), asdict(sighting))


def claim_file(
    conn: Connection,
    *,
    supplier_id: str,
    sha256: bytes,
    name: str,
    size_bytes: int,
    mtime: int,
    now: datetime,
) -> FileClaim:
    """Claims a content under a name, once; a claim that is there already is returned as it is."""
    key = {"supplier_id": supplier_id, "sha256": sha256, "name": name}
    with conn.transaction():
        conn.execute(
            query("claim_source_file"),
            {**key, "size_bytes": size_bytes, "mtime": mtime, "claimed_at": now},
        )
    with conn.cursor(row_factory=kwargs_row(FileClaim)) as cursor:
        found = cursor.execute(query("source_file"), key).fetchone()
    if found is None:
        raise BrokenInvariant("source_file_lost", f"the claim of {name} is not there")
    return found


def record_outcome(conn: Connection, outcome: Outcome) -> None:
    """Records what came of a claimed file; a second time changes nothing."""
    conn.execute(query("insert_source_file_outcome"), asdict(outcome))


def accounts(
    conn: Connection, *, supplier_id: str | None = None, limit: int = 100
) -> list[FileAccount]:
    """The latest claimed files, newest first."""
    with conn.cursor(row_factory=kwargs_row(FileAccount)) as cursor:
        return cursor.execute(
            query("source_file_outcomes"), {"supplier_id": supplier_id, "limit": limit}
        ).fetchall()
