"""The activity register in PostgreSQL: submissions, their rows, who decided what, what was sent.

Belongs here: rows of ledger.activity_*. Does not: reading files and building events
(pipeline.activity_register), what an event may say (carbon_ledger.activities), entries: those come
from Kafka like everybody's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import class_row

from carbon_ledger.activities.registered_activity import RegisteredActivityEvent
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.restatement import person, same_person
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# Submissions are compared with one another: one at a time.
REGISTER_LOCK: Final = 7216
LISTED_MAX: Final = 1000
VALUE_SHOWN: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedRow:
    """A row that may be approved: its line in the file, its event, kgCO2e it comes to today."""

    line: int
    event: RegisteredActivityEvent
    kgco2e: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedRow:
    """A row that may not: its line in the file, and why."""

    line: int
    problem: RejectedRecord


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submission with what became of it; `kgco2e` as estimated when it came."""

    submission_id: int
    organization_id: str | None
    template: str
    file_name: str
    file_sha256: bytes
    rows_accepted: int
    rows_refused: int
    submitted_by: str
    submitted_at: datetime
    is_approved: bool | None
    decided_by: str | None
    reason: str | None
    decided_at: datetime | None
    delivered_at: datetime | None
    kgco2e: Decimal

    @property
    def name(self) -> str:
        """How people and events call it."""
        return submission_name(self.submission_id)

    @property
    def status(self) -> str:
        """pending, rejected, approved (events not all sent yet) or sent."""
        if self.is_approved is None:
            return "pending"
        if not self.is_approved:
            return "rejected"
        return "approved" if self.delivered_at is None else "sent"


def submission_name(submission_id: int) -> str:
    """A-7 for 7."""
    return f"A-{submission_id}"


def approval_name(submission_id: int) -> str:
    """How events call the approval of a submission: it has one at most."""
    return f"A-{submission_id}/approval"


def new_number(conn: Connection) -> int:
    """The number of a submission to be; not every number is used."""
    row = conn.execute("select nextval('ledger.activity_submission_number')").fetchone()
    if row is None:
        raise BrokenInvariant("activity_submission_number", "the database gave no number")
    return int(row[0])


def store_submission(
    conn: Connection,
    submission_id: int,
    *,
    template: str,
    file_name: str,
    content: bytes,
    by: str,
    accepted: Sequence[AcceptedRow],
    refused: Sequence[RefusedRow],
    organization_id: str | None = None,
) -> Submission:
    """Keeps a file and its rows, whole or not at all.

    The same bytes in a submission that was not rejected are that submission: it is returned, and
    nothing is added. `organization_id` is that of the key it came with. A row whose activity and
    revision another submission or the ledger has already is refused, code `activity_known`.
    """
    digest = hashlib.sha256(content).digest()
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s, 0)", (REGISTER_LOCK,))
        for earlier in _find(conn, file_sha256=digest):
            same = (earlier.template, earlier.organization_id) == (template, organization_id)
            if same and earlier.status != "rejected":
                return earlier
        accepted, refused = _without_known(conn, accepted, refused)
        conn.execute(
            query("insert_activity_submission"),
            {
                "submission_id": submission_id,
                "organization_id": organization_id,
                "template": template,
                "file_name": file_name,
                "file_sha256": digest,
                "file_content": content,
                "rows_accepted": len(accepted),
                "rows_refused": len(refused),
                "submitted_by": person(by),
            },
        )
        _copy_rows(conn, submission_id, accepted, refused)
    return find_submission(conn, submission_id)


def _without_known(
    conn: Connection, accepted: Sequence[AcceptedRow], refused: Sequence[RefusedRow]
) -> tuple[list[AcceptedRow], list[RefusedRow]]:
    ids = [one.event.event_id for one in accepted]
    taken: dict[str, str] = {}
    for event_id, where in conn.execute(query("activity_events_taken"), {"event_ids": ids}):
        taken.setdefault(event_id, where)
    left = [one for one in accepted if one.event.event_id not in taken]
    known = [
        RefusedRow(line=one.line, problem=_activity_known(one.event, taken[one.event.event_id]))
        for one in accepted
        if one.event.event_id in taken
    ]
    return left, sorted([*refused, *known], key=lambda one: one.line)


def _activity_known(event: RegisteredActivityEvent, where: str) -> RejectedRecord:
    return RejectedRecord(
        "activity_known",
        f"activity_id: {event.activity_id} of {event.entity_id} is in {where} already, as revision "
        f"{event.revision}",
        field="activity_id",
        value=event.activity_id,
        valid=f"another activity_id, or revision {event.revision + 1} to correct it",
    )


def _copy_rows(
    conn: Connection,
    submission_id: int,
    accepted: Sequence[AcceptedRow],
    refused: Sequence[RefusedRow],
) -> None:
    with conn.cursor() as cursor:
        with cursor.copy(
            "copy ledger.activity_row (submission_id, file_line, event_id, event, kgco2e)"
            " from stdin"
        ) as copy:
            for one in accepted:
                event = json.dumps(one.event.to_avro_fields())
                copy.write_row((submission_id, one.line, one.event.event_id, event, one.kgco2e))
        with cursor.copy(
            "copy ledger.activity_refusal"
            " (submission_id, file_line, code, message, field, value, valid) from stdin"
        ) as copy:
            for row in refused:
                problem = row.problem
                texts = (problem.message, problem.field, problem.value, problem.valid)
                shown = [
                    None if text is None else _storable(str(text)[:VALUE_SHOWN]) for text in texts
                ]
                copy.write_row((submission_id, row.line, problem.code, *shown))


def _storable(text: str) -> str:
    """What PostgreSQL takes as text: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def list_submissions(conn: Connection) -> list[Submission]:
    """The newest LISTED_MAX of them, newest first."""
    return _find(conn)


def unsent_submissions(conn: Connection) -> list[Submission]:
    """Those that are approved and whose delivery is not recorded, LISTED_MAX of them."""
    return _find(conn, is_unsent=True)


def find_submission(
    conn: Connection, submission_id: int, organization_id: str | None = None
) -> Submission:
    """One of them, of an organization if one is given; RejectedRecord `unknown_submission`."""
    found = _find(conn, submission_id=submission_id)
    if organization_id is not None:
        found = [one for one in found if one.organization_id == organization_id]
    if not found:
        raise RejectedRecord(
            "unknown_submission",
            f"there is no submission {submission_name(submission_id)}",
            field="submission",
            value=submission_id,
            valid="a number that `carbon activities list` shows",
        )
    return found[0]


def _find(
    conn: Connection,
    *,
    submission_id: int | None = None,
    file_sha256: bytes | None = None,
    is_unsent: bool = False,
) -> list[Submission]:
    parameters = {
        "submission_id": submission_id,
        "file_sha256": file_sha256,
        "is_unsent": is_unsent,
        "limit": LISTED_MAX,
    }
    with conn.cursor(row_factory=class_row(Submission)) as cursor:
        return cursor.execute(query("find_activity_submission"), parameters).fetchall()


def accepted_rows(conn: Connection, submission_id: int) -> list[AcceptedRow]:
    """The rows of a submission that may be approved, in the order of the file."""
    rows = conn.execute(query("activity_rows"), {"submission_id": submission_id})
    return [
        AcceptedRow(line=line, event=_event(json.loads(event)), kgco2e=kgco2e)
        for line, _, event, kgco2e in rows
    ]


def _event(values: Mapping[str, Any]) -> RegisteredActivityEvent:
    begin = _EPOCH + timedelta(microseconds=values["timestamp"])
    return RegisteredActivityEvent(**{**values, "timestamp": begin})


def refused_rows(conn: Connection, submission_id: int) -> list[RefusedRow]:
    """The rows of a submission that may not be approved, in the order of the file."""
    rows = conn.execute(query("activity_refusals"), {"submission_id": submission_id})
    return [
        RefusedRow(
            line=line, problem=RejectedRecord(code, message, field=field, value=value, valid=valid)
        )
        for line, code, message, field, value, valid in rows
    ]


def decide(
    conn: Connection, submission_id: int, *, approved: bool, by: str, reason: str
) -> Submission:
    """Records what somebody decided about a submission; once, and for good.

    Raises RejectedRecord `unknown_submission`, `no_name`, `no_reason` (a rejection says why),
    `own_submission` (nobody approves what he submitted; whoever submitted it may withdraw it by
    rejecting), `nothing_to_approve`, `decided_already`.
    """
    name = person(by)
    found = find_submission(conn, submission_id)
    if approved and same_person(name, found.submitted_by):
        raise RejectedRecord(
            "own_submission",
            f"{found.name} was submitted by {found.submitted_by}, who cannot approve it",
            field="by",
            value=name,
            valid="somebody else than the submitter",
        )
    if approved and not found.rows_accepted:
        raise RejectedRecord(
            "nothing_to_approve",
            f"{found.name} has no row that could be approved",
            field="submission",
            value=submission_id,
            valid="a submission with accepted rows",
        )
    if not approved and not reason.strip():
        raise RejectedRecord(
            "no_reason", "a rejection says why", field="reason", valid="what is wrong with it"
        )
    added = conn.execute(
        query("insert_activity_decision"),
        {
            "submission_id": submission_id,
            "is_approved": approved,
            "decided_by": name,
            "reason": _storable(reason.strip()),
        },
    ).rowcount
    found = find_submission(conn, submission_id)
    if not added:
        raise RejectedRecord(
            "decided_already",
            f"{found.name} is {found.status}: {found.decided_by} decided that",
            field="submission",
            value=submission_id,
            valid="a submission that is pending",
        )
    return found


def record_delivery(conn: Connection, submission_id: int, events: int) -> None:
    """Records that Kafka has all events of an approved submission; a second time changes nothing.

    psycopg.errors.CheckViolation for one that is not approved.
    """
    conn.execute(
        query("insert_activity_delivery"), {"submission_id": submission_id, "events": events}
    )
