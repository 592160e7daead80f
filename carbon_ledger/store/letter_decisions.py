"""What people decide on dead letters: sending one again, leaving one unledgered; and what was sent.

Belongs here: which decisions are allowed, and their rows. Does not: finding letters
(carbon_ledger.store.letters), making and sending records (pipeline.letter_repair,
pipeline.letter_replay).

A replay is decided before it is sent. Whoever dies in between leaves a decision without a sending,
and the next one sends it; a record sent twice is a duplicate to the ledger.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from carbon_ledger.errors import CarbonError, ConfigurationError, RejectedRecord
from carbon_ledger.failpoints import failpoint
from carbon_ledger.store.connect import query
from carbon_ledger.store.letters import (
    LIST_MAX,
    UNDECIDED,
    LetterRecord,
    Wanted,
    letter_records,
    list_letters,
)
from carbon_ledger.store.rows import Connection

DECISION_LOCK: Final = 7221
# The same bytes are refused for these again and again, whatever changes beside them.
CONFLICTS: Final = frozenset({"identity_conflict", "stale_revision"})
# How long an acknowledgement may be on its way before somebody else sends the record again.
UNSENT_SECONDS: Final = 60
# After this a replay that was never judged may be forced again: its topic may be another by now.
UNDER_WAY_MAX: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A record to be sent for a letter. `changes`: fields that were edited; None: the same
    bytes.
    """

    letter_id: str
    topic: str
    record_key: bytes | None
    record_value: bytes | None
    record_headers: Sequence[tuple[str, str | None]] = ()
    changes: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A decided replay: what is to be sent, where, for which letter, and which try it is."""

    decision_id: uuid.UUID
    letter_id: str
    try_no: int
    topic: str
    record_key: bytes | None
    record_value: bytes | None
    record_headers: Sequence[tuple[str, str | None]]


@dataclass(frozen=True, kw_only=True)
class Sending:
    """Where Kafka put a replay."""

    decision_id: uuid.UUID
    topic: str
    kafka_partition: int
    kafka_offset: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A letter on which nothing was decided, and why."""

    letter_id: str
    problem: CarbonError


def decide_replays(
    conn: Connection,
    proposals: Sequence[Proposal],
    *,
    decided_by: str,
    reason: str,
    tries: int,
    is_forced: bool = False,
) -> tuple[list[Replay], list[Refused]]:
    """Decides, in one transaction, that these records are sent; letters that may not be are told.

    Decisions on letters are made one caller after the other, so of two replays of one letter one is
    decided and the other finds it under way. Raises RejectedRecord `who_or_why_missing`.
    """
    _check_said(decided_by, reason)
    decided: list[Replay] = []
    refused: list[Refused] = []
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s, 0)", (DECISION_LOCK,))
        ids = [one.letter_id for one in proposals]
        standing = {one.letter_id: one for one in letter_records(conn, ids, tries=tries)}
        for proposal in proposals:
            # Taken out: a letter named twice is decided on once.
            letter = standing.pop(proposal.letter_id, None)
            problem = _why_not_replay(letter, proposal, is_forced, tries)
            if problem is not None or letter is None:
                refused.append(Refused(letter_id=proposal.letter_id, problem=problem or _gone()))
                continue
            replay = Replay(
                decision_id=uuid.uuid4(),
                letter_id=letter.letter_id,
                try_no=letter.tries + 1,
                topic=proposal.topic,
                record_key=proposal.record_key,
                record_value=proposal.record_value,
                record_headers=proposal.record_headers,
            )
            _insert_decision(
                conn,
                {**vars(replay), "kind": "replay", "is_forced": is_forced}
                | {"changes": proposal.changes, "decided_by": decided_by, "reason": reason},
            )
            decided.append(replay)
        failpoint("replays_deciding")
    return decided, refused


def decide_discards(
    conn: Connection, ids: Sequence[str], *, decided_by: str, reason: str, tries: int
) -> tuple[list[str], list[Refused]]:
    """Decides that these letters stay unledgered; nothing is deleted. Returns their ids, and those
    that may not be discarded. Raises RejectedRecord `who_or_why_missing`.
    """
    _check_said(decided_by, reason)
    done: list[str] = []
    refused: list[Refused] = []
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s, 0)", (DECISION_LOCK,))
        found = list_letters(conn, Wanted(ids=tuple(ids)), limit=LIST_MAX, tries=tries)
        standing = {one.letter_id: one.state for one in found}
        for letter_id in dict.fromkeys(ids):
            problem = _why_not_discard(standing.get(letter_id))
            if problem is not None:
                refused.append(Refused(letter_id=letter_id, problem=problem))
                continue
            nothing = dict.fromkeys(("try_no", "changes", "topic", "record_key", "record_value"))
            _insert_decision(
                conn,
                {**nothing, "decision_id": uuid.uuid4(), "letter_id": letter_id, "kind": "discard"}
                | {"is_forced": False, "record_headers": (), "decided_by": decided_by}
                | {"reason": reason},
            )
            done.append(letter_id)
    return done, refused


def why_settled(letter: LetterRecord, is_forced: bool) -> RejectedRecord | None:
    """Why nothing can be decided on the letter now, whatever would be sent; None if it can."""
    if letter.state == "landed":
        return RejectedRecord("already_landed", "it is in the ledger")
    if letter.state != "replayed":
        return None
    since = letter.decided_at or datetime.now(UTC)
    if is_forced and datetime.now(UTC) - since > UNDER_WAY_MAX:
        return None
    return RejectedRecord(
        "under_way",
        "it was sent again already, and the ledger has not judged it yet",
        valid="waiting; `force` (--force) an hour after the decision, should its topic have been "
        "made anew",
    )


def record_sendings(conn: Connection, sendings: Sequence[Sending]) -> None:
    """Notes where Kafka put these replays; noting one twice changes nothing."""
    with conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(query("insert_letter_sending"), [vars(one) for one in sendings])
        failpoint("sendings_noting")


def unsent_replays(
    conn: Connection, *, limit: int, older_than_seconds: int = UNSENT_SECONDS
) -> list[Replay]:
    """Replays that were decided and, as far as anybody noted, not sent: their sender is gone."""
    with conn.cursor(row_factory=class_row(Replay)) as cursor:
        values = {"seconds": older_than_seconds, "limit": limit}
        return cursor.execute(query("unsent_replays"), values).fetchall()


def has_unsent_replays(conn: Connection, older_than_seconds: int = UNSENT_SECONDS) -> bool:
    """Whether there are any such."""
    values = {"seconds": older_than_seconds}
    row = conn.execute(query("has_unsent_replays"), values).fetchone()
    return bool(row and row[0])


def _check_said(decided_by: str, reason: str) -> None:
    for name, value in (("who", decided_by), ("why", reason)):
        if not value.strip():
            raise RejectedRecord(
                "who_or_why_missing",
                f"{name} is empty; every decision on a dead letter names who decided and why",
                field=name,
                valid="a name and a sentence",
            )


def _why_not_replay(
    letter: LetterRecord | None, proposal: Proposal, is_forced: bool, tries: int
) -> CarbonError | None:
    if letter is None:
        return _gone()
    problem = why_settled(letter, is_forced)
    if problem is not None:
        return problem
    if is_forced:
        return None
    if letter.state == "discarded":
        return RejectedRecord(
            "discarded", "it was discarded", valid="`force` (--force), with a reason"
        )
    if letter.state == "exhausted":
        return RejectedRecord(
            "tries_exhausted",
            f"it was refused {letter.tries} times after being sent again, {tries} are allowed",
            valid="`force` (--force), with a reason, or discarding it",
        )
    if proposal.changes is None and letter.reason_code in CONFLICTS:
        return RejectedRecord(
            "same_conflict",
            f"the same bytes are refused again: {letter.reason_code}",
            field="revision",
            valid="`changes` (--set) with a revision above the one that stands, or discarding it",
        )
    return None


def _why_not_discard(state: str | None) -> CarbonError | None:
    if state is None:
        return _gone()
    if state in UNDECIDED:
        return None
    told = {
        "landed": "it is in the ledger",
        "replayed": "it was sent again, and the ledger has not judged it yet",
        "discarded": "it is discarded already",
    }
    return RejectedRecord(f"letter_{state}", told[state])


def _gone() -> CarbonError:
    return ConfigurationError(
        "letter_unknown", "there is no such dead letter, or it is named twice"
    )


def _insert_decision(conn: Connection, values: dict[str, Any]) -> None:
    changes = values["changes"]
    conn.execute(
        query("insert_letter_decision"),
        {
            **values,
            "changes": None if changes is None else Jsonb(dict(changes)),
            "record_headers": Jsonb([list(one) for one in values["record_headers"]]),
        },
    )
