"""Letters of edges as they are kept, and how far the queue they came through is taken up.

Belongs here: the one transaction that keeps them and moves the offset. Does not: reading the queue
(pipeline.letter_uptake), what they say once kept (carbon_ledger.store.letters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.types.json import Jsonb

from carbon_ledger.failpoints import failpoint
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

UPTAKE_LOCK: Final = 7222


@dataclass(frozen=True, kw_only=True)
class EdgeRecord:
    """What an adapter received and could not turn into an event, as it came from the queue."""

    letter_id: str
    source: str
    coordinates: str
    stream: str | None
    reason_code: str
    reason: str
    field: str | None
    offending_value: str | None
    valid_values: str | None
    content_type: str
    received_at: datetime | None
    record_key: bytes | None
    record_value: bytes | None
    record_headers: Sequence[tuple[str, str | None]]
    topic: str
    kafka_partition: int
    kafka_offset: int


def uptake_offsets(conn: Connection, topic_id: str) -> dict[int, int]:
    """By partition of the queue with this id: the offset from which on nothing is taken up yet."""
    rows = conn.execute(
        "select kafka_partition, next_offset from manifest.letter_uptake where topic_id = %s",
        (topic_id,),
    )
    return {partition: offset for partition, offset in rows.fetchall()}


def keep_edge_letters(
    conn: Connection,
    letters: Sequence[EdgeRecord],
    *,
    topic_id: str,
    kafka_partition: int,
    start_offset: int,
    next_offset: int,
) -> int | None:
    """Keeps what [start_offset, next_offset) of the queue had of edges, and moves the offset with
    it.

    How many were new; a letter that is there already stays as it is. None if somebody else has
    moved the offset meanwhile: nothing is kept then, for they have kept it.
    """
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s, 0)", (UPTAKE_LOCK,))
        if uptake_offsets(conn, topic_id).get(kafka_partition, start_offset) != start_offset:
            return None
        new = 0
        for letter in letters:
            headers = Jsonb([list(one) for one in letter.record_headers])
            cursor.execute(query("insert_edge_letter"), {**vars(letter), "record_headers": headers})
            new += cursor.rowcount
        cursor.execute(
            query("move_letter_uptake"),
            {
                "topic_id": topic_id,
                "kafka_partition": kafka_partition,
                "next_offset": next_offset,
            },
        )
        failpoint("edge_letters_keeping")
    return new
