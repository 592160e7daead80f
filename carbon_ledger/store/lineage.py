"""Where figures come from and where records went: the questions asked of the database.

Belongs here: parts, entries, windows and report cells, found from each other. Does not: judging a
record again (spark.rejudge), how an answer is told (carbon_ledger.lineage).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from psycopg.rows import class_row, kwargs_row

from carbon_ledger.entries import EntryRow, first_and_last_id
from carbon_ledger.store.commits import ENTRY_ID_BYTES
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# An entry is found by its id and its month of activity.
EntryKey = tuple[UUID, date]
STREAMED: Final = 5_000


@dataclass(frozen=True, kw_only=True)
class PostedOtherwise:
    """The commit of an entry that no batch posted: correction, restatement, and so on."""

    commit_id: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class PostedPart:
    """A committed part: its range, its rules and its archived object. `recorded_at` is that of its
    entries.
    """

    stream: str
    topic: str
    topic_incarnation: int
    kafka_partition: int
    start_offset: int
    end_offset: int
    batch_id: int
    attempt: int
    recorded_at: datetime
    factor_release: str
    code_version: str
    archive_object: str
    archive_sha256: bytes
    archive_bytes: int
    records_read: int


@dataclass(frozen=True, kw_only=True)
class RestatedBy:
    """The rules of a restated entry, beside the factor release that the entry names itself."""

    restatement_id: int
    gwp_set: str
    max_vintage_gap_years: int
    reference_known_at: datetime


def posted_parts(
    conn: Connection,
    *,
    batch_id: int | None = None,
    topic: str | None = None,
    topic_incarnation: int | None = None,
    kafka_partition: int | None = None,
    kafka_offset: int | None = None,
) -> list[PostedPart]:
    """The committed parts (all of them unless narrowed), oldest first; a topic goes with a
    partition.
    """
    with conn.cursor(row_factory=class_row(PostedPart)) as cursor:
        return cursor.execute(
            query("posted_parts"),
            {
                "batch_id": batch_id,
                "topic": topic,
                "topic_incarnation": topic_incarnation,
                "kafka_partition": kafka_partition,
                "kafka_offset": kafka_offset,
            },
        ).fetchall()


def months_of(year: int | None) -> dict[str, date | None]:
    """The months [start, end) of a calendar year; of all years for None."""
    if year is None:
        return {"start": None, "end": None}
    return {"start": date(year, 1, 1), "end": date(year + 1, 1, 1)}


def entry_sizes(conn: Connection, year: int | None = None) -> list[tuple[EntryKey, Decimal]]:
    """Every entry's key and its kgCO2e."""
    found = conn.execute(query("entry_sizes"), months_of(year)).fetchall()
    return [((entry_id, month), kgco2e) for entry_id, month, kgco2e in found]


def entries_by_key(conn: Connection, keys: Collection[EntryKey]) -> dict[UUID, EntryRow]:
    """The entries of these keys, those that there are, by id."""
    if not keys:
        return {}
    ids, months = zip(*keys, strict=True)
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        rows = cursor.execute(
            query("entries_by_key"), {"entry_ids": list(ids), "months": list(months)}
        ).fetchall()
    return {row.entry_id: row for row in rows}


def entries_by_id(conn: Connection, entry_ids: Collection[UUID]) -> list[EntryRow]:
    """The entries of these ids, those that there are, oldest month first."""
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(query("entries_by_id"), {"entry_ids": list(entry_ids)}).fetchall()


def entries_of_record(conn: Connection, part: PostedPart, kafka_offset: int) -> list[EntryRow]:
    """The entries that a record of a part posted, line by line, whatever became of them since."""
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(
            query("entries_of_record"),
            {
                "recorded_at": part.recorded_at,
                "batch_id": part.batch_id,
                "topic": part.topic,
                "topic_incarnation": part.topic_incarnation,
                "kafka_partition": part.kafka_partition,
                "kafka_offset": kafka_offset,
            },
        ).fetchall()


def entries_of_payload(
    conn: Connection,
    event_id: str,
    payload_sha256: bytes,
    occurred_from: datetime,
    occurred_to: datetime,
) -> list[EntryRow]:
    """The entries of an event that was posted from a payload of this hash, whichever record had it;
    for roles that see entries and no identities of events. The event is of [occurred_from,
    occurred_to), and so is the end of each of its lines.
    """
    first, last = first_and_last_id(occurred_from, occurred_to)
    parameters = {
        "event_id": event_id,
        "payload_sha256": payload_sha256,
        "first_id": first,
        "last_id": last,
        # A site's calendar is up to a day from UTC.
        "first_month": (occurred_from - timedelta(days=1)).date().replace(day=1),
        "last_month": (occurred_to + timedelta(days=1)).date(),
    }
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(query("entries_of_payload"), parameters).fetchall()


def entries_in_order(conn: Connection, year: int | None = None) -> Iterator[EntryRow]:
    """Every entry, month by month, in the order of the records; streamed inside one transaction."""
    yield from _streamed(conn, "entries_in_order", year)


def entries_by_id_order(conn: Connection, year: int | None = None) -> Iterator[EntryRow]:
    """Every entry in the order of the ids; streamed inside one transaction."""
    yield from _streamed(conn, "entries_by_id_order", year)


def entries_of_records(conn: Connection, year: int | None = None) -> Iterator[EntryRow]:
    """As `entries_by_id_order`, but only what batches posted from records: the lines of a record,
    and the reversals a later revision caused.
    """
    otherwise = kinds_of_no_part(conn)
    for row in entries_by_id_order(conn, year):
        if row.topic is not None and row.entry_id not in otherwise:
            yield row


def _streamed(conn: Connection, name: str, year: int | None) -> Iterator[EntryRow]:
    with conn.transaction(), conn.cursor(name=name, row_factory=kwargs_row(EntryRow)) as cursor:
        cursor.itersize = STREAMED
        cursor.execute(query(name), months_of(year))
        yield from cursor


def kinds_of_no_part(conn: Connection) -> dict[UUID, PostedOtherwise]:
    """Every entry that was not posted from a record by a batch: by which commit, of which kind."""
    found = {}
    for commit_id, kind, entry_ids in conn.execute(query("commits_of_no_part")).fetchall():
        posted = PostedOtherwise(commit_id=commit_id, kind=kind)
        for place in range(0, len(entry_ids), ENTRY_ID_BYTES):
            found[UUID(bytes=bytes(entry_ids[place : place + ENTRY_ID_BYTES]))] = posted
    return found


def restated_rules(conn: Connection, entry_ids: Collection[UUID]) -> dict[UUID, RestatedBy]:
    """Of these entries those that a restatement posted, with its rules."""
    found = conn.execute(query("restated_rules"), {"entry_ids": list(entry_ids)}).fetchall()
    return {
        entry_id: RestatedBy(
            restatement_id=number,
            gwp_set=gwp_set,
            max_vintage_gap_years=gap,
            reference_known_at=known_at,
        )
        for entry_id, number, gwp_set, gap, known_at in found
    }
