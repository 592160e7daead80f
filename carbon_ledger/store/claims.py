"""Claims in the database: entries not taken yet, members, standings, and posting a plan.

Belongs here: ledger.claim_entry and ledger.claim_standing, the claim's lock, posting a plan. Does
not: which figure counts and what is posted (carbon_ledger.claims), the facts of the records
(spark.claim_facts).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row, kwargs_row

from carbon_ledger.claims.posting_plan import Change, Plan
from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.entries import entry_id as entry_id_of
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.store.append import printable
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import (
    Connection,
    begin_writing,
    insert_identity,
    next_corrections,
    post_entries,
)

WAITING_MAX: Final = 20_000
HELD: Final = "held"
RELEASED: Final = "released"
LEFT: Final = "left"
NOTHING: Final = "0/1"
# Held by whoever takes entries into their claims, for as long as its connection lasts.
AT_WORK_LOCK: Final = 7234


@dataclass(frozen=True, kw_only=True)
class KnownStanding:
    """A row of ledger.claim_standing: how a line of a fact stands; `share` is n/d."""

    claim: str
    fact_id: str
    line_no: int
    decided_at: datetime | None
    revision: int
    role: str
    share: str
    flags: str
    entry_id: UUID | None = None
    activity_month: date | None = None
    whole_entry_id: UUID | None = None
    whole_month: date | None = None
    cause: str

    @property
    def place(self) -> tuple[str, int]:
        """What it is the standing of, within the claim."""
        return self.fact_id, self.line_no


@dataclass(frozen=True, kw_only=True)
class LatestRevision:
    """The newest revision posted of an activity, and its first line."""

    revision: int
    entry_month: date
    entry_id: UUID


@dataclass(frozen=True, kw_only=True)
class HeldClaim:
    """A claim that is left as it is until a person, or a new fact, has a look at it."""

    claim: str
    flags: str
    cause: str


def is_waiting(conn: Connection) -> bool:
    """Whether the ledger has entries of purchases or declarations that no claim has taken."""
    row = conn.execute(query("claim_is_waiting")).fetchone()
    return bool(row and row[0])


@contextmanager
def at_work(conn: Connection) -> Iterator[None]:
    """Shows others that entries are being taken into their claims; keeps nobody out."""
    conn.execute("select pg_advisory_lock_shared(%s, 0)", (AT_WORK_LOCK,))
    try:
        yield
    finally:
        # A connection that is lost has no lock any more.
        with suppress(psycopg.Error):
            conn.execute("select pg_advisory_unlock_shared(%s, 0)", (AT_WORK_LOCK,))


def is_at_work(conn: Connection) -> bool:
    """Whether somebody who lives is taking entries into their claims."""
    row = conn.execute(
        "select exists (select from pg_locks where locktype = 'advisory' and classid = %s"
        " and objid = 0 and objsubid = 2 and granted"
        " and database = (select oid from pg_database where datname = current_database()))",
        (AT_WORK_LOCK,),
    ).fetchone()
    return bool(row and row[0])


def waiting_entries(conn: Connection, limit: int = WAITING_MAX) -> list[EntryRow]:
    """The oldest such entries, in whole commits, so it may be some more than `limit`."""
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(query("claim_entries_waiting"), {"limit": limit}).fetchall()


def claims_of_entries(conn: Connection, entry_ids: Collection[UUID]) -> dict[UUID, str | None]:
    """Of these entries those that were taken, with their claim; None: taken into none."""
    found = conn.execute(query("claims_of_entries"), {"entry_ids": list(entry_ids)}).fetchall()
    return dict(found)


def claim_members(conn: Connection, claims: Collection[str]) -> list[EntryRow]:
    """Every entry that was taken into these claims, oldest first."""
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(query("claim_members"), {"claims": list(claims)}).fetchall()


def standings_of(conn: Connection, claim: str) -> dict[tuple[str, int], KnownStanding]:
    """How the lines of a claim's facts stand, by fact and line."""
    with conn.cursor(row_factory=class_row(KnownStanding)) as cursor:
        rows = cursor.execute(query("claim_standings"), {"claims": [claim]}).fetchall()
    return {row.place: row for row in rows}


def wholes_of(conn: Connection, entry_ids: Collection[UUID]) -> dict[UUID, tuple[UUID, date]]:
    """Of entries that supersession posted or left standing, the entries that have all of the
    figure.
    """
    rows = conn.execute(query("claim_wholes"), {"entry_ids": list(entry_ids)}).fetchall()
    return {entry_id: (whole_id, month) for entry_id, whole_id, month in rows}


def latest_revisions(conn: Connection, activity_refs: Collection[str]) -> dict[str, LatestRevision]:
    """The newest revision posted of each activity."""
    rows = conn.execute(query("claim_latest_revisions"), {"refs": list(activity_refs)}).fetchall()
    return {
        ref: LatestRevision(revision=revision, entry_month=month, entry_id=entry_id)
        for ref, revision, month, entry_id in rows
    }


def held_claims(conn: Connection) -> list[HeldClaim]:
    """Claims that wait for a person."""
    with conn.cursor(row_factory=class_row(HeldClaim)) as cursor:
        return cursor.execute(query("claims_held")).fetchall()


def sample_claims(conn: Connection, limit: int, seed: str) -> list[str]:
    """Some claims, chosen by `seed`; all of them if there are no more than `limit`."""
    rows = conn.execute(query("claims_sampled"), {"limit": limit, "seed": seed}).fetchall()
    return [row[0] for row in rows]


def lock_claim(conn: Connection, claim: str) -> None:
    """Keeps every other writer of the claim out until the caller's transaction ends."""
    conn.execute(query("lock_claim"), {"claim": claim})


def take_entries(
    conn: Connection, entries: Sequence[tuple[EntryRow, str | None]], taken_at: datetime
) -> None:
    """Notes that these entries were looked at and in which claim they are.

    psycopg.errors.UniqueViolation if somebody else did so meanwhile.
    """
    if not entries:
        return
    conn.execute(
        query("take_claim_entries"),
        {
            "entry_ids": [row.entry_id for row, _ in entries],
            "months": [row.activity_month for row, _ in entries],
            "claims": [claim for _, claim in entries],
            "taken_at": taken_at,
        },
    )


def take_aside(conn: Connection, entries: Sequence[EntryRow]) -> None:
    """Notes, in a transaction of its own, that these entries are in no claim."""
    if not entries:
        return
    with conn.transaction():
        take_entries(conn, [(row, None) for row in entries], begin_writing(conn))


def hold_claim(
    conn: Connection, claim: str, waiting: Sequence[EntryRow], code: str, why: str
) -> None:
    """Leaves a claim as it is, says why, and does not look at it again before something is new."""
    moment = begin_writing(conn)
    take_entries(conn, [(row, claim) for row in waiting], moment)
    _insert_standing(conn, _of_claim(claim, HELD, code, printable(why) or code), moment)


def post_plan(
    conn: Connection,
    plan: Plan,
    waiting: Sequence[EntryRow],
    known: Mapping[tuple[str, int], KnownStanding],
) -> list[EntryRow]:
    """Posts a plan in the caller's transaction, which holds the claim's lock; the rows posted.

    `waiting` are the entries that led to it, taken by it, and `known` how the facts stood. Raises
    RejectedRecord `claim_moved` if somebody else posted to the claim at the same moment; the
    transaction is lost then.
    """
    moment = begin_writing(conn)
    try:
        posted, stands = _post(conn, plan, moment)
        take_entries(conn, [(row, plan.claim) for row in (*waiting, *posted)], moment)
    except psycopg.errors.UniqueViolation as error:
        raise RejectedRecord(
            "claim_moved",
            f"{plan.claim} was posted to by somebody else at the same moment",
            field="claim",
            value=plan.claim,
            valid="a claim that nobody else writes to; the next run looks again",
        ) from error
    for one in _new_standings(plan, stands, known):
        _insert_standing(conn, one, moment)
    return posted


def _post(
    conn: Connection, plan: Plan, moment: datetime
) -> tuple[list[EntryRow], dict[int, EntryRow]]:
    """Reversals, then new lines, each an event of its own as a correction by hand is."""
    numbers = next_corrections(
        conn, {one.new.activity_ref for one in plan.postings if one.new is not None}
    )
    backs, news, stands = [], [], {}
    for number, one in enumerate(plan.changes):
        if one.old is not None:
            backs.append(reversal_of(one.old, recorded_at=moment, cause=one.cause))
        if one.new is None:
            continue
        ref = one.new.activity_ref
        event_id = f"{ref}#c{numbers[ref]}"
        numbers[ref] += 1
        row = sealed(
            replace(
                one.new,
                event_id=event_id,
                entry_id=entry_id_of(event_id, one.new.line_no, one.new.occurred_to),
                recorded_at=moment,
            )
        )
        stands[number] = row
        news.append(row)
    # In the order of the ids, so that two writers wait for each other in one direction only.
    for row in sorted(news, key=lambda row: row.event_id):
        insert_identity(conn, row)
    rows = [*backs, *news]
    if rows:
        post_entries(conn, rows, recorded_at=moment, kind="supersession")
    return rows, stands


def _new_standings(
    plan: Plan,
    stands: Mapping[int, EntryRow],
    known: Mapping[tuple[str, int], KnownStanding],
) -> list[KnownStanding]:
    """What is different from what was known: lines that stand otherwise, and those that left."""
    found, met = [], set()
    for number, one in enumerate(plan.changes):
        row = stands.get(number, one.line.active)
        if row is None:
            continue
        now = _standing(plan.claim, one, row)
        met.add(now.place)
        before = known.get(now.place)
        if before is None or replace(before, decided_at=None, cause=now.cause) != now:
            found.append(now)
    for place, before in known.items():
        if not before.fact_id:
            if before.role == HELD:
                found.append(_of_claim(plan.claim, RELEASED, "", "every line could be planned"))
        elif place not in met and before.role != LEFT:
            found.append(
                replace(
                    _of_claim(plan.claim, LEFT, "", f"{before.fact_id} is in the claim no more"),
                    fact_id=before.fact_id,
                    line_no=before.line_no,
                    revision=before.revision,
                )
            )
    return found


def _standing(claim: str, one: Change, row: EntryRow) -> KnownStanding:
    share = one.standing.share
    return KnownStanding(
        claim=claim,
        fact_id=one.member.fact_id,
        line_no=row.line_no,
        decided_at=None,
        revision=one.member.revision,
        role=one.standing.role,
        share=f"{share.numerator}/{share.denominator}",
        flags=",".join(one.standing.flags),
        entry_id=row.entry_id,
        activity_month=row.activity_month,
        whole_entry_id=one.line.whole.entry_id,
        whole_month=one.line.whole.activity_month,
        cause=one.cause or f"claim {claim}: {one.member.key}",
    )


def _of_claim(claim: str, role: str, flags: str, cause: str) -> KnownStanding:
    return KnownStanding(
        claim=claim,
        fact_id="",
        line_no=0,
        decided_at=None,
        revision=0,
        role=role,
        share=NOTHING,
        flags=flags,
        cause=cause,
    )


def _insert_standing(conn: Connection, one: KnownStanding, moment: datetime) -> None:
    values: dict[str, Any] = {**vars(one), "decided_at": moment}
    conn.execute(query("insert_claim_standing"), values)
