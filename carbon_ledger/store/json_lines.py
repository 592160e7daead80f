"""Lines of COPY as JSON objects, byte for byte as PostgreSQL's row_to_json spells them.

Belongs here: from tab-separated fields to JSON, what COPY escapes and what JSON does. Does not:
which entries (carbon_ledger.store.entry_pages), sending them (carbon_ledger.store.entry_export).

row_to_json costs PostgreSQL more than reading and spelling an entry does; here it is done while
PostgreSQL works on the next ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from carbon_ledger.store.entry_pages import MOMENTS, NAMES

NULL: Final = b"\\N"
NUMBERS: Final = frozenset(
    {
        *("line_no", "scope", "category", "factor_version"),
        *("vintage_gap_years", "supersession_rank"),
    }
)
# JSON already.
DOCUMENTS: Final = frozenset({"other_gases"})
TRUTHS: Final = frozenset({"is_active"})
MOMENTS_KEPT: Final = 50_000
# What JSON escapes and COPY does not; tab and line feed are what parts fields and lines.
_CONTROL: Final = bytes(number for number in range(32) if number not in (9, 10))
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_MEANT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class JsonLines:
    """Makes JSON of lines that have the fields NAMES, as `copy … to stdout` gives them."""

    def __init__(self) -> None:
        # By which fields are unknown: the object, with a place for each field.
        self._templates: dict[bytes, bytes] = {}
        self._moments: dict[bytes, bytes] = {}
        self._places = [NAMES.index(name) for name in MOMENTS]
        self._document = NAMES.index("other_gases")
        self._truth = NAMES.index("is_active")

    def of(self, rows: Sequence[bytes]) -> bytes:
        """The objects, one a line; each of `rows` is a whole line."""
        whole = b"".join(rows)
        if len(whole.translate(None, _CONTROL)) != len(whole):
            return b"".join(map(self._exact, rows))
        return b"".join(map(self._line, rows))

    def _line(self, row: bytes) -> bytes:
        fields = row[:-1].split(b"\t")
        unknown = bytes(field == NULL for field in fields)
        quotes = fields[self._document].count(b'"')
        if row.count(b"\\") != unknown.count(1) or row.count(b'"') != quotes:
            # Something in it is to be escaped.
            return self._exact(row)
        template = self._templates.get(unknown)
        if template is None:
            template = self._templates[unknown] = _template(unknown)
        for place in self._places:
            fields[place] = self._moment(fields[place])
        fields[self._truth] = b"true" if fields[self._truth] == b"t" else b"false"
        return template % tuple(fields)

    def _exact(self, row: bytes) -> bytes:
        fields = row[:-1].split(b"\t")
        unknown = bytes(field == NULL for field in fields)
        for place, name in enumerate(NAMES):
            if unknown[place]:
                continue
            text = _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), fields[place])
            if name in MOMENTS:
                text = self._moment(text)
            elif name in TRUTHS:
                text = b"true" if text == b"t" else b"false"
            elif name not in NUMBERS | DOCUMENTS:
                text = json.dumps(text.decode(), ensure_ascii=False).encode()[1:-1]
            fields[place] = text
        return _template(unknown) % tuple(fields)

    def _moment(self, text: bytes) -> bytes:
        """`2025-01-31 12:00:00.5` as `2025-01-31T12:00:00.500000Z`."""
        found = self._moments.get(text)
        if found is None:
            if len(self._moments) >= MOMENTS_KEPT:
                self._moments.clear()
            whole, _, fraction = text.partition(b".")
            found = whole.replace(b" ", b"T") + b"." + fraction.ljust(6, b"0") + b"Z"
            self._moments[text] = found
        return found


def _template(unknown: bytes) -> bytes:
    parts = []
    for name, is_unknown in zip(NAMES, unknown, strict=True):
        if is_unknown:
            # Takes the field and shows none of it.
            shown = "null%.0b"
        else:
            shown = "%b" if name in NUMBERS | DOCUMENTS | TRUTHS else '"%b"'
        parts.append(f'"{name}":{shown}')
    return ("{" + ",".join(parts) + "}\n").encode()
