"""What a reviewer may say of a figure: the subjects, the verdicts, what is refused.

Belongs here: the form of a sign-off, pure. Does not: where sign-offs are kept
(carbon_ledger.store.sign_offs), who may write one (api.security).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from carbon_ledger.errors import RejectedRecord

Kind = Literal["cell", "entry", "sample"]
KINDS: Final[tuple[Kind, ...]] = ("cell", "entry", "sample")
Verdict = Literal["agreed", "exception", "follow_up"]
# What each says; all but the first have to say why.
VERDICTS: Final[dict[Verdict, str]] = {
    "agreed": "it is as stated",
    "exception": "it is not as stated",
    "follow_up": "something is to be answered before it can be said",
}
NOTE_LENGTH_MAX: Final = 4_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is signed off on: a cell of a kept report, an entry, or a sample of entries.

    A sample is of a whole kept report, or with `cell_id` of one cell, and is named by how it was
    drawn (carbon_ledger.lineage.review_samples).
    """

    kind: Kind
    snapshot_id: UUID | None = None
    cell_id: str | None = None
    entry_id: UUID | None = None
    method: str | None = None
    seed: int | None = None
    size: int | None = None


def checked_verdict(verdict: str, note: str) -> tuple[Verdict, str]:
    """Verdict and note, without blanks around the note.

    Raises RejectedRecord `verdict_unknown`, `note_missing` (of all verdicts but `agreed`),
    `note_too_long`, `nul_byte`.
    """
    found = next((one for one in VERDICTS if one == verdict), None)
    if found is None:
        raise RejectedRecord(
            "verdict_unknown",
            "this is no verdict",
            field="verdict",
            value=verdict[:60],
            valid=", ".join(VERDICTS),
        )
    text = note.strip()
    if "\x00" in text:
        raise RejectedRecord(
            "nul_byte", "a text holds a NUL character", field="note", valid="text without it"
        )
    if found != "agreed" and not text:
        raise RejectedRecord(
            "note_missing",
            f"the verdict {found} has to say why",
            field="note",
            valid=f"1 to {NOTE_LENGTH_MAX} characters",
        )
    if len(text) > NOTE_LENGTH_MAX:
        raise RejectedRecord(
            "note_too_long",
            "the note is too long",
            field="note",
            value=f"{len(text)} characters",
            valid=f"at most {NOTE_LENGTH_MAX} characters",
        )
    return found, text
