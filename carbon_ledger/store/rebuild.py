"""What a rebuild asks of the ledger: which raw records there are, and how events stand to entries.

Belongs here: the questions. Does not: posting anything; a rebuild never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

STANDINGS = ("known", "would_post", "differ_payload", "differ_figure")


@dataclass(frozen=True, kw_only=True)
class ArchivedPart:
    """The archived object of one part, and how many of its records were refused."""

    batch_id: int
    kafka_partition: int
    start_offset: int
    archive_object: str
    archive_sha256: bytes
    archive_bytes: int
    records_read: int
    dead_lettered: int
    quarantined: int


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one event, as today's rules see it, stands to the ledger. Figures in kgCO2e."""

    event_id: str
    standing: str
    kgco2e_ledger: Decimal | None
    kgco2e_today: Decimal


def archived_parts(conn: Connection, batch_ids: Sequence[int]) -> list[ArchivedPart]:
    """The parts of the batches that are committed, with their archived objects."""
    names = list(ArchivedPart.__dataclass_fields__)
    rows = conn.execute(query("archived_parts"), (list(batch_ids),)).fetchall()
    return [ArchivedPart(**dict(zip(names, row, strict=True))) for row in rows]


def compare_events(
    conn: Connection, event_ids: Sequence[str], payloads_hex: Sequence[str], kgco2e: Sequence[str]
) -> list[Standing]:
    """One Standing per event given; `known` has the same payload and the same figure."""
    columns = ["\n".join(column) for column in (event_ids, payloads_hex, kgco2e)]
    rows = conn.execute(query("compare_events"), columns).fetchall()
    return [
        Standing(event_id=row[0], standing=row[1], kgco2e_ledger=row[2], kgco2e_today=row[3])
        for row in rows
    ]
