"""Proofs from the sealed tree: that an entry is in it, and that one head's tree begins another's.

Belongs here: finding an entry's leaf, reading just the hashes of a proof, the proof as plain values
(docs/verify.md has the form). Does not: the tree's arithmetic (carbon_ledger.merkle), checking a
proof (verifier.check_proof).
"""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from psycopg.rows import kwargs_row

from carbon_ledger import merkle
from carbon_ledger.entries import CANONICAL_OF, SPELLING, EntryRow
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.store.commits import ENTRY_ID_BYTES
from carbon_ledger.store.connect import query
from carbon_ledger.store.heads import Head, cosignature, find_head, latest_head
from carbon_ledger.store.rows import Connection
from carbon_ledger.store.tree import read_pieces


def inclusion_proof(
    conn: Connection, entry_id: UUID, tree_size: int | None = None
) -> dict[str, Any]:
    """The proof, as plain values, that the entry is in the tree of the latest head, or of the head
    of `tree_size` leaves.

    Raises RejectedRecord `unknown_entry`, `not_sealed` (no seal has it yet) or `unknown_head`, and
    BrokenInvariant `entry_altered` if the tree does not lead from the entry to the head.
    """
    entry = find(conn, entry_id)
    index = leaf_of(conn, entry)
    head = head_of(conn, tree_size)
    if index >= head.tree_size:
        raise RejectedRecord(
            "not_sealed",
            f"entry {entry_id} is leaf {index}, and the head is of {head.tree_size} leaves",
            field="tree_size",
        )
    ranges = merkle.inclusion_ranges(index, head.tree_size)
    path = merkle.read_proof(ranges, partial(read_pieces, conn))
    leaf = merkle.leaf_hash(entry.content_sha256)
    if not merkle.verify_inclusion(leaf, index, head.tree_size, path, head.root):
        raise BrokenInvariant(
            "entry_altered",
            f"entry {entry_id} does not lead to the signed root as leaf {index} of"
            f" {head.tree_size}: it was altered, or the tree was. `carbon verify` says where",
        )
    return {
        "kind": "inclusion",
        "preimage": entry.preimage,
        "entry": canonical_texts(entry),
        "leaf_index": index,
        "tree_size": head.tree_size,
        "path": [_base64(step) for step in path],
        "head": head.note + cosignature(conn, head.tree_size),
        "public_key": _base64(head.public_key),
    }


def consistency_proof(conn: Connection, old_size: int, new_size: int) -> dict[str, Any]:
    """The proof, as plain values, that the tree of one head is the beginning of another's.

    Raises RejectedRecord `unknown_head`, and BrokenInvariant `tree_altered` if it is not.
    """
    old, new = head_of(conn, old_size), head_of(conn, new_size)
    if old.tree_size > new.tree_size:
        raise RejectedRecord(
            "wrong_order", f"{old_size} leaves are no beginning of {new_size}", field="old_size"
        )
    ranges = merkle.consistency_ranges(old.tree_size, new.tree_size)
    path = merkle.read_proof(ranges, partial(read_pieces, conn))
    if not merkle.verify_consistency(old.tree_size, new.tree_size, old.root, new.root, path):
        raise BrokenInvariant(
            "tree_altered",
            f"the tree of {old_size} leaves is no beginning of that of {new_size}; `carbon verify`"
            " says where they differ",
        )
    return {
        "kind": "consistency",
        "old_head": old.note + cosignature(conn, old.tree_size),
        "new_head": new.note + cosignature(conn, new.tree_size),
        "path": [_base64(step) for step in path],
        "public_key": _base64(new.public_key),
    }


def find(conn: Connection, entry_id: UUID) -> EntryRow:
    """The entry, whatever its month; RejectedRecord `unknown_entry` if there is none."""
    unknown = RejectedRecord(
        "unknown_entry", f"the ledger has no entry {entry_id}", field="entry_id", value=entry_id
    )
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        for months in (likely_months(entry_id), None):
            if months is None:
                months = [row[0] for row in conn.execute(query("ledger_months")).fetchall()]
            found = cursor.execute(
                query("entry_of_months"), {"entry_id": entry_id, "months": months}, binary=True
            ).fetchall()
            if found:
                return found[0]
    raise unknown


def likely_months(entry_id: UUID) -> list[date]:
    """First days of the months that the activity probably began in: the id begins with the
    milliseconds of its end, and most activities are shorter than a month.
    """
    end = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        end += timedelta(milliseconds=entry_id.int >> 80)
        days = [end + timedelta(days=day) for day in (-31, -15, 0, 1)]
    except OverflowError:
        return []
    return sorted({day.date().replace(day=1) for day in days})


def leaf_of(conn: Connection, entry: EntryRow) -> int:
    """Number of the entry's leaf; RejectedRecord `not_sealed` if no seal has it yet,
    BrokenInvariant `entry_unlisted` if no commit lists it.
    """
    listed = conn.execute(
        query("leaf_of_entry"),
        {"entry_id": entry.entry_id.bytes, "recorded_at": entry.recorded_at},
        binary=True,
    ).fetchall()
    for commit_id, place, first_leaf in listed:
        at: int = place - 1
        if at % ENTRY_ID_BYTES:
            at = _aligned(conn, commit_id, entry.entry_id)
        if at < 0:
            continue
        if first_leaf is None:
            raise RejectedRecord(
                "not_sealed", f"entry {entry.entry_id} is not sealed yet", field="entry_id"
            )
        return int(first_leaf) + at // ENTRY_ID_BYTES
    raise BrokenInvariant(
        "entry_unlisted", f"no commit lists entry {entry.entry_id}: it was not posted by the writer"
    )


def _aligned(conn: Connection, commit_id: int, entry_id: UUID) -> int:
    """Where the list has the id, if its bytes are also found across two others; else -1."""
    row = conn.execute(
        "select entry_ids from audit.commit where commit_id = %s", (commit_id,), binary=True
    ).fetchone()
    ids = bytes(row[0]) if row else b""
    at = ids.find(entry_id.bytes)
    while at >= 0 and at % ENTRY_ID_BYTES:
        at = ids.find(entry_id.bytes, at + 1)
    return at


def head_of(conn: Connection, tree_size: int | None) -> Head:
    """The latest head, or that of `tree_size` leaves; RejectedRecord `unknown_head` if none."""
    found = latest_head(conn) if tree_size is None else find_head(conn, tree_size)
    if found is None:
        raise RejectedRecord(
            "unknown_head",
            "nothing is sealed yet" if tree_size is None else f"no head is of {tree_size} leaves",
            field="tree_size",
            value=tree_size,
            valid="a size that `carbon heads list` shows",
        )
    return found


def canonical_texts(entry: EntryRow) -> dict[str, str | None]:
    """The entry's canonical fields, each spelled as in its canonical bytes."""
    return {
        column: None if (value := getattr(entry, column)) is None else SPELLING[kind](value)
        for column, kind in CANONICAL_OF[entry.preimage]
    }


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
