"""What a supplier is told of a file: as JSON for programs, as text for people.

Belongs here: what a receipt says and how. Does not: leaving it (pipeline.drops.work).

A receipt quotes what stood in the file, so it is made to be harmless wherever it is opened: ASCII
alone, no line that begins as a formula, values in quotes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import iso_utc
from carbon_ledger.store.activities import Submission

REJECTIONS_MAX: Final = 1_000
_SHOWN: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A row that was not accepted: where, what stood there, why, what could stand there."""

    line: int | None
    column: str | None
    value: str | None
    code: str
    reason: str
    valid: str | None

    @classmethod
    def of(cls, problem: RejectedRecord, line: int | None) -> Rejection:
        """The rejection of a problem at a line."""
        return cls(
            line=line,
            column=problem.field,
            value=problem.value,
            code=problem.code,
            reason=problem.message,
            valid=problem.valid,
        )

    def said(self) -> dict[str, object]:
        """As it stands in the JSON."""
        return {
            "line": self.line,
            "column": _cut(self.column),
            "value": _cut(self.value),
            "code": self.code,
            "reason": _cut(self.reason),
            "valid": None if self.valid is None else self.valid[:2000],
        }


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """Which file a receipt is for."""

    supplier_id: str
    name: str
    size_bytes: int
    sha256: bytes
    claimed_at: datetime

    def said(self) -> dict[str, object]:
        """As it stands in the JSON."""
        return {
            "file": self.name,
            "supplier_id": self.supplier_id,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256.hex(),
            "received_at": iso_utc(self.claimed_at),
        }


def read_receipt(
    facts: FileFacts, *, accepted: int, rejected: int, rejections: Sequence[Rejection]
) -> str:
    """The receipt of a file that was read; rejections beyond the first thousand are counted."""
    return _written({**facts.said(), **_judged(accepted, rejected, rejections)})


def submitted_receipt(
    facts: FileFacts, *, submission: Submission, rejections: Sequence[Rejection]
) -> str:
    """The receipt of a file of the activity register: read, and not counted before it is approved.

    The same bytes may be a submission that was decided before, which is told then.
    """
    return _written(
        {
            **facts.said(),
            **_judged(submission.rows_accepted, submission.rows_refused, rejections),
            "submission": submission.name,
            "template": submission.template,
            "status": submission.status,
        }
    )


def _judged(accepted: int, rejected: int, rejections: Sequence[Rejection]) -> dict[str, object]:
    listed = [one.said() for one in rejections[:REJECTIONS_MAX]]
    return {
        "result": "read",
        "rows": accepted + rejected,
        "accepted": accepted,
        "rejected": rejected,
        "rejections": listed,
        "rejections_not_listed": rejected - len(listed),
    }


def duplicate_receipt(facts: FileFacts, *, counted_as: str, counted_at: datetime) -> str:
    """The receipt of the same bytes under a new name."""
    return _written(
        {
            **facts.said(),
            "result": "duplicate",
            "reason": "the same bytes were received before; nothing was added",
            "same_as": counted_as,
            "same_as_received_at": iso_utc(counted_at),
        }
    )


def refused_receipt(facts: FileFacts, rejection: Rejection) -> str:
    """The receipt of a file that was not read at all."""
    return _written({**facts.said(), "result": "refused", "refusal": rejection.said()})


def as_text(receipt: str) -> str:
    """A receipt for people."""
    said = json.loads(receipt)
    lines = [
        f"File      {_quoted(said['file'])}",
        f"Supplier  {said['supplier_id']}",
        f"Received  {said['received_at']}, {said['size_bytes']} bytes",
        f"SHA-256   {said['sha256']}",
        "",
    ]
    if said["result"] == "duplicate":
        lines += [
            f"Result    nothing added: the same bytes were received as {_quoted(said['same_as'])}",
            f"          at {said['same_as_received_at']}",
        ]
    elif said["result"] == "refused":
        lines += ["Result    the file was not read; nothing of it was taken", ""]
        lines += _told(said["refusal"])
    else:
        lines += [
            f"Result    {said['accepted']} of {said['rows']} rows accepted, "
            f"{said['rejected']} rejected",
        ]
        if "submission" in said:
            lines += [f"Register  {said['submission']}, {said['template']}: {said['status']}"]
            if said["status"] == "pending" and said["accepted"]:
                lines += ["          nothing counts before another person has approved it"]
        for one in said["rejections"]:
            lines += ["", *_told(one)]
        if said["rejections_not_listed"]:
            lines += ["", f"and {said['rejections_not_listed']} more rejected rows"]
        if said["rejected"]:
            lines += ["", "Correct the rejected rows and leave them in a new file; accepted rows "]
            lines[-1] += "stay. A correction of an accepted row needs a higher revision."
    return "\n".join(lines) + "\n"


def _told(one: dict[str, Any]) -> list[str]:
    places = []
    if one["line"] is not None:
        places.append(f"line {one['line']}")
    if one["column"] is not None:
        places.append(f"column {_quoted(one['column'])}")
    lines = [f"At        {', '.join(places) or 'the file as a whole'}"]
    if one["value"] is not None:
        lines.append(f"  value   {_quoted(one['value'])}")
    lines.append(f"  reason  {_plain(one['reason'])} [{one['code']}]")
    if one["valid"] is not None:
        lines.append(f"  valid   {_plain(one['valid'])}")
    return lines


def _written(said: dict[str, object]) -> str:
    return json.dumps(said, ensure_ascii=True, indent=1) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)


def _plain(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)[1:-1].replace('\\"', '"')


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
