"""Lines of COPY as JSON objects, byte for byte as PostgreSQL's row_to_json spells them.

Belongs here: from tab-separated fields to JSON, what COPY escapes and what JSON does. Does not:
which entries (carbon_ledger.store.entry_pages), sending them (carbon_ledger.store.entry_export).

row_to_json costs PostgreSQL more than reading and spelling an entry does; here it is done while
PostgreSQL works on the next ones, and for many lines at once: nothing is done line by line
or field by field in Python, but for lines that have something to escape.
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
UNQUOTED: Final = NUMBERS | DOCUMENTS | TRUTHS
# What these take is still in the processor's cache when it is looked at again: of 400 lines at once
# each takes half as long again.
LINES_AT_ONCE: Final = 64
MOMENTS_KEPT: Final = 50_000
# The end of a moment that is a whole second.
WHOLE: Final = b".000000Z"
# What JSON escapes and COPY does not; tab and line feed are what parts fields and lines.
_SPECIAL: Final = bytes(number for number in range(32) if number not in (9, 10)) + b'\\"'
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_TOLD: Final = {b"t": b"true", b"f": b"false", NULL: NULL}
_MEANT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class JsonLines:
    """Makes JSON of lines that have the fields NAMES, as `copy … to stdout` gives them."""

    def __init__(self) -> None:
        self._moments = _Moments()
        self._document = NAMES.index("other_gases")

    def of(self, rows: Sequence[bytes]) -> bytes:
        """The objects, one a line; each of `rows` is a whole line."""
        begins = range(0, len(rows), LINES_AT_ONCE)
        return b"".join(self._some(rows[begin : begin + LINES_AT_ONCE]) for begin in begins)

    def _some(self, rows: Sequence[bytes]) -> bytes:
        found = self._plain(rows)
        if found is not None:
            return found
        if len(rows) == 1:
            return self._exact(rows[0])
        # Few lines have something to escape: the others are still made many at once.
        half = len(rows) // 2
        return self._some(rows[:half]) + self._some(rows[half:])

    def _plain(self, rows: Sequence[bytes]) -> bytes | None:
        """The same; None if something in the lines is to be escaped."""
        whole = b"".join(rows)
        # What is unknown has a backslash. Every other one begins an escape, and a text's own is
        # there twice, so as many in all are these and no others.
        special = len(whole) - len(whole.translate(None, _SPECIAL)) - whole.count(NULL)
        fields = whole.replace(b"\n", b"\t").split(b"\t")
        del fields[-1]
        if special and special != self._quotes_of_documents(fields):
            return None
        return self._joined(fields, len(rows))

    def _quotes_of_documents(self, fields: list[bytes]) -> int:
        return b"".join(fields[self._document :: len(NAMES)]).count(b'"')

    def _joined(self, fields: list[bytes], count: int) -> bytes:
        """The objects of so many lines: what they all have in common is spelled once."""
        common = b"{"
        varying: list[tuple[bytes, list[bytes]]] = []
        replaced: set[bytes] = set()
        for place, name in enumerate(NAMES):
            column = fields[place :: len(NAMES)]
            key = (b"," if place else b"") + b'"%b":' % name.encode()
            quote = b"" if name in UNQUOTED else b'"'
            first = column[0]
            if first == column[-1] and column.count(first) == count:
                (told,) = self._spelled(name, [first])
                common += key + (b"null" if told == NULL else quote + told + quote)
                continue
            if NULL in column:
                replaced.add(quote + NULL + quote)
            varying.append((common + key + quote, self._spelled(name, column)))
            common = quote
        last = common + b"}\n"
        if not varying:
            return last * count
        parts = [last] * (2 * len(varying) * count + 1)
        for number, (before, column) in enumerate(varying):
            between = before if number else last + before
            parts[2 * number : -1 : 2 * len(varying)] = [between] * count
            parts[2 * number + 1 :: 2 * len(varying)] = column
        parts[0] = varying[0][0]
        told = b"".join(parts)
        for unknown in sorted(replaced):
            # A text has no backslash in it, as nothing is to be escaped.
            told = told.replace(unknown, b"null")
        return told

    def _spelled(self, name: str, column: list[bytes]) -> list[bytes]:
        if name in TRUTHS:
            return [*map(_TOLD.__getitem__, column)]
        if name not in MOMENTS:
            return column
        joined = b"\t".join(column)
        if b"." in joined or NULL in joined:
            return [*map(self._moments.__getitem__, column)]
        # Whole seconds, of which there are many and each is new: all of them at once.
        return (joined.replace(b" ", b"T").replace(b"\t", WHOLE + b"\t") + WHOLE).split(b"\t")

    def _exact(self, row: bytes) -> bytes:
        fields = row[:-1].split(b"\t")
        unknown = bytes(field == NULL for field in fields)
        for place, name in enumerate(NAMES):
            if unknown[place]:
                continue
            text = _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), fields[place])
            if name in MOMENTS:
                text = self._moments[text]
            elif name in TRUTHS:
                text = _TOLD[text]
            elif name not in NUMBERS | DOCUMENTS:
                text = json.dumps(text.decode(), ensure_ascii=False).encode()[1:-1]
            fields[place] = text
        return _template(unknown) % tuple(fields)


class _Moments(dict[bytes, bytes]):
    """`2025-01-31 12:00:00.5` as `2025-01-31T12:00:00.500000Z`; what is unknown stays so."""

    def __missing__(self, text: bytes) -> bytes:
        if len(self) >= MOMENTS_KEPT:
            self.clear()
        whole, _, fraction = text.partition(b".")
        found = whole.replace(b" ", b"T") + b"." + fraction.ljust(6, b"0") + b"Z"
        self[text] = NULL if text == NULL else found
        return self[text]


def _template(unknown: bytes) -> bytes:
    parts = []
    for name, is_unknown in zip(NAMES, unknown, strict=True):
        if is_unknown:
            # Takes the field and shows none of it.
            shown = "null%.0b"
        else:
            shown = "%b" if name in UNQUOTED else '"%b"'
        parts.append(f'"{name}":{shown}')
    return ("{" + ",".join(parts) + "}\n").encode()
