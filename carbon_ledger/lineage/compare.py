"""An entry beside the same entry made anew: equal, or which fields differ.

Belongs here: what is compared, and in which spelling. Does not: making entries anew, reading them;
the standard library is enough for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from carbon_ledger.entries import (
    CANONICAL_OF,
    PREIMAGE,
    SPELLING,
    EntryRow,
    content_sha256,
    reversal_of,
)

# Told apart: the same figures from other code are the same figures.
LEFT_OUT: Final = ("code_version",)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field of an entry, as it is stored and as it comes out; None is null."""

    field: str
    stored: str | None
    remade: str | None

    def __str__(self) -> str:
        return f"{self.field}: {self.stored} is stored, {self.remade} comes out"


def differences(stored: EntryRow, remade: EntryRow) -> tuple[Difference, ...]:
    """The canonical fields in which the two differ, but for the code that made them; then whether
    the stored entry still has its own hash.
    """
    columns = CANONICAL_OF.get(stored.preimage, CANONICAL_OF[PREIMAGE])
    found = []
    for name, kind in columns:
        if name in LEFT_OUT:
            continue
        one, other = (_spelled(kind, getattr(row, name)) for row in (stored, remade))
        if one != other:
            found.append(Difference(field=name, stored=one, remade=other))
    expected = content_sha256(stored)
    if stored.content_sha256 != expected:
        found.append(
            Difference(
                field="content_sha256", stored=stored.content_sha256.hex(), remade=expected.hex()
            )
        )
    return tuple(found)


def _spelled(kind: str, value: Any) -> str | None:
    return None if value is None else SPELLING[kind](value)


def reversal_differences(
    stored: EntryRow, original: EntryRow, cause: str | None
) -> tuple[Difference, ...]:
    """In what a reversal is not the exact negative of what it takes back.

    `cause` is what it must say; None where nothing but the entry itself says so.
    """
    remade = reversal_of(
        original,
        recorded_at=stored.recorded_at,
        cause=cause or stored.cause or "not said",
        code_version=stored.code_version,
        batch_id=stored.batch_id,
        topic=stored.topic,
        topic_incarnation=stored.topic_incarnation,
        kafka_partition=stored.kafka_partition,
        kafka_offset=stored.kafka_offset,
    )
    return differences(stored, remade)


def one_of(rows: Sequence[EntryRow], like: EntryRow) -> EntryRow | None:
    """The row that is the same line of the same event."""
    return next(
        (
            row
            for row in rows
            if (row.event_id, row.line_no) == (like.event_id, like.line_no)
            or row.entry_id == like.entry_id
        ),
        None,
    )
