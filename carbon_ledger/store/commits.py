"""What each transaction posted: ids and content hashes of its entries, written by itself.

Belongs here: the row of audit.commit. Does not: sealing those rows (carbon_ledger.store.seals),
the entries themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import psycopg

from carbon_ledger.store.connect import query

Kind = Literal["part", "correction", "restatement", "supersession", "period"]
ENTRY_ID_BYTES: Final = 16
SHA256_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class PartCoordinates:
    """The Kafka partition's part of a batch that a commit is of."""

    batch_id: int
    topic: str
    topic_incarnation: int
    kafka_partition: int
    start_offset: int


NO_PART: Final[dict[str, Any]] = dict.fromkeys(PartCoordinates.__dataclass_fields__)


def insert_commit(
    conn: psycopg.Connection[Any],
    *,
    kind: Kind,
    recorded_at: datetime,
    entry_ids: Sequence[bytes],
    content_sha256s: Sequence[bytes],
    part: PartCoordinates | None = None,
) -> None:
    """Adds the commit's row, in the transaction that posts the entries; none for no entries.

    `entry_ids` and `content_sha256s` are byte strings to be joined, so a writer may hand over one
    for each entry or one for many.
    """
    ids, hashes = b"".join(entry_ids), b"".join(content_sha256s)
    if not ids:
        return
    conn.execute(
        query("insert_commit"),
        {
            "kind": kind,
            "recorded_at": recorded_at,
            "entries": len(ids) // ENTRY_ID_BYTES,
            "entry_ids": ids,
            "content_sha256s": hashes,
            **(NO_PART if part is None else vars(part)),
        },
    )
