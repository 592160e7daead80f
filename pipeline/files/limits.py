"""How much a file from outside may ask of us, and how a file says what is wrong with it.

Belongs here: the limits of reading a table, the refusal of a file. Does not: the reading itself.
Light to import: the reading process does so before it limits itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from carbon_ledger.errors import RejectedRecord

MEBI: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of one file and of the process that reads it. Bytes, characters, seconds."""

    file_bytes: int = 32 * MEBI
    # One physical line of a CSV file, line end included.
    line_bytes: int = MEBI
    # What a spreadsheet's cell can hold.
    cell_characters: int = 32_767
    columns: int = 512
    rows: int = 200_000
    # A workbook's members, and all of them unpacked.
    members: int = 500
    unpacked_bytes: int = 256 * MEBI
    # Levels of nesting in one JSON row or one XML part.
    depth: int = 64
    # What the reading process may have and use, and say.
    memory_bytes: int = 512 * MEBI
    cpu_seconds: int = 60
    wall_seconds: float = 180.0
    answer_bytes: int = 256 * MEBI

    def written(self) -> str:
        """The limits as text, for the reading process."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> Limits:
        """The limits `written` wrote."""
        return Limits(**json.loads(text))


DEFAULT_LIMITS: Final = Limits()


class FileRefused(RejectedRecord):
    """A file that is not read at all; `line` is where, from 1, if it is one place.

    `field` names the column, cell or member, `value` what stands there, `valid` what could.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        line: int | None = None,
        field: str | None = None,
        value: object = None,
        valid: str | None = None,
    ) -> None:
        super().__init__(code, message, field=field, value=value, valid=valid)
        self.line = line
