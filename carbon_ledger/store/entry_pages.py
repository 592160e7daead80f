"""Entries for programs: a page of them, one, those that were sealed one after the other.

Belongs here: which entries, in which order, as JSON text that PostgreSQL makes. Does not: whole
exports (carbon_ledger.store.entry_export), entries as Python objects (carbon_ledger.store.rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.store.commits import ENTRY_ID_BYTES
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# The columns of told_entries.sql, in its order.
NAMES: Final = (
    *("entry_id", "organization_id", "event_id", "line_no", "activity_ref", "stream"),
    *("supplier_id", "facility_id", "source_ref", "country_iso2", "region", "activity_month"),
    *("local_date", "occurred_from", "occurred_to", "recorded_at", "scope", "category", "basis"),
    *("activity_type", "quantity", "unit", "kgco2e", "kg_co2_fossil", "kg_co2_biogenic"),
    *("kg_ch4", "kg_n2o", "other_gases", "gwp_set", "factor_id", "factor_version"),
    *("factor_release", "factor_match", "vintage_gap_years", "flags", "formula_id", "method"),
    *("rule_id", "supersession_rank", "primary_share", "activity_scores", "factor_scores"),
    *("reverses_id", "cause", "payload_sha256", "content_sha256", "code_version"),
    *("is_active", "reversed_by"),
)
MOMENTS: Final = ("occurred_from", "occurred_to", "recorded_at")
# What of an entry may change, because another takes it back.
CHANGING: Final = ("is_active", "reversed_by")
# A moment that is replaced by the one that is meant.
LATEST: Final = datetime.max.replace(tzinfo=UTC)
_LASTING: Final = tuple(name for name in NAMES if name not in CHANGING)


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """Which entries: known at `as_of`, of the local dates [start, end). None narrows nothing.

    `suppliers` are those of which all have to be; `is_active`: standing at `as_of`, or not.
    """

    as_of: datetime
    start: date | None = None
    end: date | None = None
    stream: str | None = None
    scope: int | None = None
    category: int | None = None
    facility: str | None = None
    suppliers: tuple[str, ...] | None = None
    recorded_since: datetime | None = None
    is_active: bool | None = None


# An entry's place in the order of pages: its month, its id.
Place = tuple[date, UUID]


@dataclass(frozen=True, kw_only=True)
class EntryPage:
    """Entries, each as JSON text, and the place of the last one if there are more."""

    entries: tuple[str, ...]
    last: Place | None


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Sealed entries after a place in the tree, with the number of each, from 1.

    `next_after` is the place to go on from, `sealed` how many are sealed in all, of everybody;
    every commit recorded before `complete_until` is among them (None: nothing was sealed yet).
    """

    changes: tuple[tuple[int, str], ...]
    next_after: int
    sealed: int
    complete_until: datetime | None


def parameters_of(
    which: EntryFilter,
    *,
    limit: int | None = None,
    after: Place | None = None,
    entry_ids: Sequence[UUID] | None = None,
) -> dict[str, Any]:
    """The parameters of told_entries.sql."""
    given = asdict(which)
    return {
        **given,
        "suppliers": None if which.suppliers is None else list(which.suppliers),
        "entry_ids": None if entry_ids is None else list(entry_ids),
        "after_month": None if after is None else after[0],
        "after_id": None if after is None else after[1],
        "limit": limit,
    }


def told_as_json(names: Sequence[str] = NAMES) -> sql.Composed:
    """The statement that gives entries as JSON text, with month and id beside it."""
    return sql.SQL(
        "select (select row_to_json(t)::text from (select {}) t), "
        "x.activity_month::date, x.entry_id::uuid from ({}) x"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("{} as {}").format(spelled("x", name), sql.Identifier(name)) for name in names
        ),
        sql.SQL(query("told_entries").decode()),
    )


def spelled(table: str, name: str) -> sql.Composable:
    """A column of told_entries.sql, a moment as text: always six decimals, and Z."""
    column = sql.Identifier(table, name)
    if name not in MOMENTS:
        return column
    return sql.SQL('to_char({}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')').format(column)


def entry_page(
    conn: Connection, which: EntryFilter, *, limit: int, after: Place | None = None
) -> EntryPage:
    """At most `limit` entries after a place, by month of activity and id.

    Pages of one filter, one after the other, have every entry of it once: it is as of one moment.
    """
    found = conn.execute(told_as_json(), parameters_of(which, limit=limit + 1, after=after))
    rows = found.fetchall()
    shown = rows[:limit]
    return EntryPage(
        entries=tuple(text for text, _, _ in shown),
        last=(shown[-1][1], shown[-1][2]) if len(rows) > limit else None,
    )


def told_entry(conn: Connection, which: EntryFilter, entry_id: UUID) -> str | None:
    """The entry of this id as JSON text; None if there is none, or `which` does not have it."""
    row = conn.execute(told_as_json(), parameters_of(which, limit=1, entry_ids=[entry_id]))
    found = row.fetchone()
    return None if found is None else found[0]


def changes(conn: Connection, after: int, limit: int) -> Changes:
    """What was sealed as the entries `after` + 1 to `after` + `limit` of the tree.

    Entries get their number when they are sealed, after they are committed, and keep it: what
    commits late is sealed later, and no number below `sealed` is ever given or taken anew. Of
    these numbers the entries are told that the connection sees, without what may change of them.
    Raises RejectedRecord `sequence_unknown` for a place that the tree has not reached.
    """
    seal = conn.execute(query("latest_seal")).fetchone()
    sealed, complete_until = (0, None) if seal is None else (seal[1], seal[3])
    if after > sealed:
        raise RejectedRecord(
            "sequence_unknown",
            "so many entries were never sealed: the ledger is another one, or an older copy of it",
            field="after",
            value=after,
            valid=f"0 to {sealed}",
        )
    upto = min(after + limit, sealed)
    numbers: dict[UUID, int] = {}
    span = {"after": after, "limit": upto - after}
    for leaf, ids in conn.execute(query("sealed_leaves"), span).fetchall():
        for place in range(0, len(ids), ENTRY_ID_BYTES):
            entry_id = UUID(bytes=bytes(ids[place : place + ENTRY_ID_BYTES]))
            numbers[entry_id] = leaf + place // ENTRY_ID_BYTES + 1
    if sorted(numbers.values()) != list(range(after + 1, upto + 1)):
        raise BrokenInvariant(
            "leaves_not_dense", f"the seals do not name every leaf of {after} to {upto}"
        )
    found = _entries_of(conn, list(numbers))
    return Changes(
        changes=tuple(
            (number, found[entry_id]) for entry_id, number in numbers.items() if entry_id in found
        ),
        next_after=upto,
        sealed=sealed,
        complete_until=complete_until,
    )


def _entries_of(conn: Connection, entry_ids: Sequence[UUID]) -> dict[UUID, str]:
    if not entry_ids:
        return {}
    given = parameters_of(EntryFilter(as_of=LATEST), entry_ids=entry_ids)
    # Sealed is known, whenever that was.
    rows = conn.execute(told_as_json(_LASTING), {**given, "as_of": "infinity"}).fetchall()
    return {entry_id: text for text, _, entry_id in rows}
