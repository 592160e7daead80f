"""Corrections by hand: a reversal and, unless the claim is withdrawn, a new entry, in one commit.

Belongs here: `post_correction` and what it refuses. Does not: corrections that arrive as a later
revision of an event (carbon_ledger.store.append), how a figure is computed.

An event id is unique in the ledger, so each correction by hand is an event of its own: the activity
with the revision `c1`, `c2`, … A later revision from the source takes back whatever stands of the
activity, a correction by hand included.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus

from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.entries import entry_id as entry_id_of
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.failpoints import failpoint
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import (
    Connection,
    begin_writing,
    ensure_month,
    find_entry,
    insert_identity,
    next_corrections,
    post_entries,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_entry(conn: Connection, activity_month: date, entry_id: UUID) -> EntryRow:
    """The entry; RejectedRecord `unknown_entry` if the ledger does not have it."""
    row = find_entry(conn, activity_month, entry_id)
    if row is None:
        raise RejectedRecord(
            "unknown_entry",
            f"there is no entry {entry_id} in {activity_month:%Y-%m}",
            field="entry_id",
            value=entry_id,
            valid="the id of an entry of that month of activity",
        )
    return row


def post_correction(
    conn: Connection,
    *,
    activity_month: date,
    entry_id: UUID,
    replacement: EntryRow | None,
    cause: str,
) -> tuple[EntryRow, EntryRow | None]:
    """Take an entry back and put `replacement` in its place: (reversal, new entry), one commit.

    `replacement` None withdraws the claim. Identity, hash, recorded_at, cause and coordinates of
    the replacement are set here; it must make the same claim. `cause` says why and on whose word.
    Needs a connection without an open transaction. Raises RejectedRecord: `empty_cause`,
    `unknown_entry`, `entry_is_a_reversal`, `already_reversed` (naming the reversal), `other_claim`,
    `month_out_of_range`, `correction_conflict` (somebody else's came first: look again).
    """
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise BrokenInvariant(
            "transaction_open",
            "a correction is a transaction of its own; finish the open one first",
        )
    _check_cause(cause)
    if replacement is not None:
        _make_month(conn, replacement.activity_month)
    try:
        with conn.transaction():
            original = read_entry(conn, activity_month, entry_id)
            _check_can_be_reversed(conn, original)
            if replacement is not None:
                _check_same_claim(original, replacement)
            posted = _post(conn, original, replacement, cause)
        failpoint("correction_committed")
        return posted
    except psycopg.errors.UniqueViolation as error:
        with conn.transaction():
            _check_can_be_reversed(conn, read_entry(conn, activity_month, entry_id))
        raise RejectedRecord(
            "correction_conflict",
            f"another correction of {original.activity_ref} was posted at the same moment",
            field="entry_id",
            value=entry_id,
            valid="the entry of the activity that stands now",
        ) from error


def _post(
    conn: Connection, original: EntryRow, replacement: EntryRow | None, cause: str
) -> tuple[EntryRow, EntryRow | None]:
    recorded_at = begin_writing(conn)
    rows = [reversal_of(original, recorded_at=recorded_at, cause=cause)]
    if replacement is not None:
        ref = original.activity_ref
        event_id = f"{ref}#c{next_corrections(conn, [ref])[ref]}"
        new = sealed(
            replace(
                replacement,
                event_id=event_id,
                entry_id=entry_id_of(event_id, replacement.line_no, replacement.occurred_to),
                recorded_at=recorded_at,
                cause=cause,
                batch_id=None,
                topic=None,
                topic_incarnation=None,
                kafka_partition=None,
                kafka_offset=None,
            )
        )
        # First of all, so that two corrections of one activity meet here and not half-way.
        insert_identity(conn, new)
        rows.append(new)
    post_entries(conn, rows, recorded_at=recorded_at, kind="correction")
    failpoint("correction_posted")
    return rows[0], rows[1] if replacement is not None else None


def _make_month(conn: Connection, month: date) -> None:
    try:
        ensure_month(conn, month)
    except psycopg.errors.CheckViolation as error:
        raise RejectedRecord(
            "month_out_of_range",
            f"{month:%Y-%m} is outside the ledger",
            field="activity_month",
            value=month,
            valid="2000-01 to the month after this one",
        ) from error


def _check_cause(cause: str) -> None:
    if not cause.strip() or _CONTROL.search(cause):
        raise RejectedRecord(
            "empty_cause",
            f"{cause[:60]!r} does not say why",
            field="cause",
            value=cause,
            valid="why, and on whose word, on one line",
        )


def _check_can_be_reversed(conn: Connection, original: EntryRow) -> None:
    if original.is_reversal:
        raise RejectedRecord(
            "entry_is_a_reversal",
            f"{original.entry_id} is itself the reversal of {original.reverses_id}",
            field="entry_id",
            value=original.entry_id,
            valid="an entry that stands; to undo a reversal, post the entry anew",
        )
    found = conn.execute(query("find_reversal"), {"entry_id": original.entry_id}).fetchone()
    if found is not None:
        raise RejectedRecord(
            "already_reversed",
            f"{original.entry_id} was reversed by {found[0]} on {found[1]:%Y-%m-%d %H:%M:%S} UTC",
            field="entry_id",
            value=original.entry_id,
            valid="an entry that stands; each can be reversed once",
        )


def _check_same_claim(original: EntryRow, replacement: EntryRow) -> None:
    for name in ("claim_key", "activity_ref", "stream"):
        if getattr(original, name) != getattr(replacement, name) or replacement.is_reversal:
            raise RejectedRecord(
                "other_claim",
                f"the replacement's {name} is {getattr(replacement, name)!r}",
                field=name,
                value=getattr(replacement, name),
                valid=f"{getattr(original, name)!r}, in a line that is no reversal",
            )
