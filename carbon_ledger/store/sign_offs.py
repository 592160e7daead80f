"""Sign-offs of reviewers, in audit.sign_off: added, listed, never changed.

Belongs here: adding and listing them. Does not: what one may say (carbon_ledger.lineage.sign_offs),
who may (api.security).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, cast
from uuid import UUID

from psycopg.rows import dict_row

from carbon_ledger.access_keys import ApiKey
from carbon_ledger.lineage.sign_offs import Subject, Verdict, checked_verdict
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

PAGE_MAX: Final = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SignOff:
    """What somebody found of a subject. `stands`: no later one is of the same subject.

    `subject_sha256` is of what was looked at: the content hash of the entry, or of the kept report
    that the cell is in; of a sample that of the ids that were drawn.
    """

    sign_off_id: int
    organization_id: str
    subject: Subject
    subject_sha256: bytes
    verdict: Verdict
    note: str
    key_id: str
    signed_by: str
    person_id: str | None
    recorded_at: datetime
    stands: bool


def add_sign_off(
    conn: Connection,
    key: ApiKey,
    subject: Subject,
    *,
    subject_sha256: bytes,
    verdict: str,
    note: str,
) -> int:
    """Adds a sign-off of the key's holder for the key's organization; its number.

    `conn` is the writer's, in autocommit mode. That the subject is of the organization is for the
    caller to have seen. Raises RejectedRecord as `checked_verdict`.
    """
    found, text = checked_verdict(verdict, note)
    row = conn.execute(
        query("insert_sign_off"),
        {
            **asdict(subject),
            "organization_id": key.organization_id,
            "subject_sha256": subject_sha256,
            "verdict": found,
            "note": text,
            "key_id": key.key_id,
            "signed_by": key.holder,
            "person_id": key.person_id,
        },
    ).fetchone()
    return int(row[0]) if row else 0


def list_sign_offs(
    conn: Connection,
    *,
    organization: str | None = None,
    kind: str | None = None,
    snapshot_id: UUID | None = None,
    cell_id: str | None = None,
    entry_id: UUID | None = None,
    before: int | None = None,
    limit: int = PAGE_MAX,
) -> list[SignOff]:
    """Sign-offs with a number below `before`, the newest first; each filter None takes all."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            query("sign_offs"),
            {
                "organization": organization,
                "kind": kind,
                "snapshot_id": snapshot_id,
                "cell_id": cell_id,
                "entry_id": entry_id,
                "before": before,
                "limit": limit,
            },
        ).fetchall()
    return [
        SignOff(
            sign_off_id=row["sign_off_id"],
            organization_id=row["organization_id"],
            subject=Subject(
                kind=row["subject_kind"],
                snapshot_id=row["snapshot_id"],
                cell_id=row["cell_id"],
                entry_id=row["entry_id"],
                method=row["method"],
                seed=row["seed"],
                size=row["size"],
            ),
            subject_sha256=bytes(row["subject_sha256"]),
            verdict=cast(Verdict, row["verdict"]),
            note=row["note"],
            key_id=row["key_id"],
            signed_by=row["signed_by"],
            person_id=row["person_id"],
            recorded_at=row["recorded_at"],
            stands=row["stands"],
        )
        for row in rows
    ]
