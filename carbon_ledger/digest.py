"""A digest of a set of entries: two ledgers that say the same have the same one.

Belongs here: which fields it is of, in which order and spelling. Does not: reading entries
(carbon_ledger.store), the seal of a ledger, which also says when and in which order it grew.

The digest is SHA-256 over one line per entry, in the order of entry_id. A line is the entry's
canonical fields (carbon_ledger.entries.CANONICAL_OF its version) in their order and spelling,
without `recorded_at`, joined by 0x1F after the tag `carbon-digest/1` and the entry's own tag, and
ended by a line feed, which no field can hold. `content_sha256` and `batch_id` are no canonical
fields. So what is left out is when it was written and who carried it; everything else is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from carbon_ledger.entries import (
    CANONICAL_OF,
    NULL,
    PREIMAGE_TAGS,
    SEPARATOR,
    SPELLING,
    EntryRow,
)
from carbon_ledger.errors import BrokenInvariant

TAG: Final = "carbon-digest/1"
TAG_OF_ANY_CODE: Final = "carbon-digest-of-any-code/1"
LEFT_OUT: Final = ("recorded_at",)


def digest_line(row: EntryRow, any_code: bool = False) -> bytes:
    """The entry's line; `any_code` leaves out `code_version` too, under another tag.

    Raises BrokenInvariant `entry_preimage` for a version that there is not.
    """
    columns = CANONICAL_OF.get(row.preimage)
    if columns is None:
        raise BrokenInvariant(
            "entry_preimage", f"{row.preimage} is no version; valid are {[*CANONICAL_OF]}"
        )
    left_out = (*LEFT_OUT, "code_version") if any_code else LEFT_OUT
    spelled = [TAG_OF_ANY_CODE if any_code else TAG, PREIMAGE_TAGS[row.preimage]]
    for column, kind in columns:
        if column in left_out:
            continue
        value = getattr(row, column)
        spelled.append(NULL if value is None else SPELLING[kind](value))
    return SEPARATOR.join(spelled).encode() + b"\n"


class SetDigest:
    """The digest of entries that come in the order of their ids."""

    def __init__(self, any_code: bool = False) -> None:
        self._sha256 = hashlib.sha256()
        self._any_code = any_code
        self._last: UUID | None = None
        self.entries = 0

    def add(self, rows: Iterable[EntryRow]) -> SetDigest:
        """Takes in further entries. Raises BrokenInvariant `digest_order` if one is out of order or
        there twice.
        """
        for row in rows:
            if self._last is not None and row.entry_id <= self._last:
                raise BrokenInvariant(
                    "digest_order", f"entry {row.entry_id} comes after {self._last}"
                )
            self._last = row.entry_id
            self._sha256.update(digest_line(row, self._any_code))
            self.entries += 1
        return self

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._sha256.hexdigest()
