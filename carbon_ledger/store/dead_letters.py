"""Dead letters as they are kept: which ones dlq.failed_events has not acknowledged yet.

Belongs here: reading them, marking them relayed. Does not: judging records, sending to Kafka.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import kwargs_row

from carbon_ledger.failpoints import failpoint
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A record that was not ledgered: its bytes, where it came from, and why.

    `record_headers` holds the record's own Kafka headers as (name, value in hex or None).
    """

    topic: str
    topic_incarnation: int
    kafka_partition: int
    kafka_offset: int
    stream: str
    batch_id: int
    fate: str
    reason_code: str
    reason: str
    field: str | None
    offending_value: str | None
    valid_values: str | None
    schema_id: int | None
    appended_at: datetime | None
    record_key: bytes | None
    record_value: bytes | None
    record_headers: Sequence[tuple[str, str | None]]


def unrelayed(conn: Connection, limit: int) -> list[DeadLetter]:
    """At most `limit` dead letters not marked as relayed, in the order of their coordinates."""
    with conn.transaction(), conn.cursor(row_factory=kwargs_row(DeadLetter)) as cursor:
        return cursor.execute(query("unrelayed_dead_letters"), {"limit": limit}).fetchall()


def mark_relayed(conn: Connection, letters: Sequence[DeadLetter]) -> None:
    """Records that the queue has acknowledged `letters`; marking one twice changes nothing."""
    rows = [
        {
            "topic": letter.topic,
            "topic_incarnation": letter.topic_incarnation,
            "kafka_partition": letter.kafka_partition,
            "kafka_offset": letter.kafka_offset,
        }
        for letter in letters
    ]
    with conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(query("insert_dead_letter_relay"), rows)
        failpoint("letters_marking")
