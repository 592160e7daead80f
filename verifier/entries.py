"""Reads every entry once and hashes what a fresh SELECT of it says.

Belongs here: the query that spells a row, the hash of the spelled row. Does not: what the hashes
are compared with (verifier.commits).

PostgreSQL spells the columns and Python hashes the line, as COPY writes it, with 0x1F between
fields; a null is `\\N` there and one byte 0x00 in the canonical bytes. A backslash of a value is
doubled by COPY, so a line that holds one after the nulls were replaced takes the careful way.
"""

from __future__ import annotations

import hashlib
import json
import re
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
import psycopg

from verifier.check_proof import CANONICAL, NULL, QUALITY_COLUMNS, SEPARATOR, TAGS

ALTERED_MAX: Final = 100_000
BLOCK_ROWS: Final = 2_000
_SPELLED: Final[dict[str, str]] = {
    "text": "{}",
    "integer": "{}",
    "numeric": "{}",
    "posted": "{}",
    # Not cast to an integer: an infinite time must become a text, not an error.
    "timestamp": "trunc(extract(epoch from {}) * 1000000)",
    "date": "{}",
    "uuid": "{}",
    "bytes": "encode({}, 'hex')",
    "json": "{}",
}
_COLUMNS: Final = CANONICAL[2]
_NAMES: Final = tuple(name for name, _ in _COLUMNS)
_BESIDE: Final = ("preimage", "encode(content_sha256, 'hex')", "batch_id", "other_gases is null")
_PREIMAGE, _STORED, _BATCH, _NO_GASES = -4, -3, -2, -1
_FIELDS: Final = len(_COLUMNS) + len(_BESIDE)
_AT: Final = {name: place for place, name in enumerate(_NAMES)}
_QUALITY_FROM: Final = _AT[QUALITY_COLUMNS[0]]
_QUALITY_TO: Final = _QUALITY_FROM + len(QUALITY_COLUMNS)
_ESCAPES: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_CONTROL: Final = re.compile(rb"[\x01-\x1f\x7f]")
_TAG: Final = {str(version).encode(): tag + SEPARATOR for version, tag in TAGS.items()}


@dataclass(frozen=True, kw_only=True)
class AlteredRow:
    """A row whose bytes do not have the hash beside them, or that no writer could have written."""

    entry_id: str
    activity_month: str
    computed: bytes
    stored: bytes
    remark: str
    # Its hash if its bytes were of the other version.
    other_version: bytes


@dataclass(kw_only=True)
class Scan:
    """Ids (16 bytes each), hashes (32 bytes each) of rows, and which group each row is of.

    A group is (recorded_at, batch_id, topic, topic_incarnation, kafka_partition), as spelled.
    """

    ids: bytearray = field(default_factory=bytearray)
    hashes: bytearray = field(default_factory=bytearray)
    groups: list[np.ndarray[Any, np.dtype[np.int32]]] = field(default_factory=list)
    group_names: list[tuple[bytes, ...]] = field(default_factory=list)
    altered: list[AlteredRow] = field(default_factory=list)
    altered_count: int = 0


def copy_statement(part: int, parts: int) -> str:
    """COPY of one of `parts` equal shares of ledger.entry, spelled; shares are by id."""
    spelled = [_SPELLED[kind].format(name) for name, kind in _COLUMNS]
    # Columns and numbers of this module's own.
    share = f" where (uuid_hash(entry_id) & {parts - 1}) = {part}" if parts > 1 else ""
    return (
        f"copy (select {', '.join((*spelled, *_BESIDE))} from ledger.entry{share})"  # noqa: S608
        " to stdout (format text, delimiter e'\\x1f')"
    )


def scan(connection: psycopg.Connection[Any], part: int = 0, parts: int = 1) -> Scan:
    """Hashes of one of `parts` (1 or 2) shares of the entries that the snapshot sees."""
    found = Scan()
    numbers: dict[tuple[bytes, ...], int] = {}
    with connection.cursor() as cursor, cursor.copy(copy_statement(part, parts)) as copy:
        rows = iter(copy)
        while block := b"".join(islice(rows, BLOCK_ROWS)):
            _take(block, found, numbers)
    found.group_names = list(numbers)
    return found


def _take(block: bytes, found: Scan, numbers: dict[tuple[bytes, ...], int]) -> None:
    lines = block.replace(b"\\N", NULL).split(b"\n")
    lines.pop()
    needs_care = _has_escape_or_control(block, lines)
    ids, hashes, groups = [], [], []
    sha256 = hashlib.sha256
    at_id, at_moment = _AT["entry_id"], _AT["recorded_at"]
    # The last canonical columns are topic, incarnation, partition and offset. Taking both ends of a
    # line costs a third of taking all of it.
    from_topic = len(_BESIDE) + 4
    current = _TAG[b"2"]
    raw = block.split(b"\n") if needs_care else lines
    for number, line in enumerate(lines):
        left, right = line.split(SEPARATOR, at_moment + 1), line.rsplit(SEPARATOR, from_topic)
        fields: list[bytes] = []
        remark = ""
        if needs_care and (b"\\" in line or _CONTROL.search(line.replace(SEPARATOR, b""))):
            fields = unescaped(raw[number])
            left, right = fields, [b"", *fields[-from_topic:]]
            remark = "a value holds a control character" if _has_control(fields) else ""
            computed = _hash_of(fields)
        elif right[_PREIMAGE] == b"2" and right[_NO_GASES] == b"t":
            beside = len(right[_PREIMAGE]) + len(right[_STORED]) + len(right[_BATCH]) + 5
            computed = sha256(current + line[:-beside]).digest()
        else:
            computed = _hash_of(line.split(SEPARATOR))
        stored = right[_STORED]
        if right[_PREIMAGE] == b"1":
            remark = remark or _remark_of_version_1(fields or line.split(SEPARATOR))
        if computed.hex().encode() != stored or remark:
            _note(found, fields or line.split(SEPARATOR), computed, remark)
        ids.append(left[at_id])
        hashes.append(computed)
        group = (left[at_moment], right[_BATCH], right[1], right[2], right[3])
        groups.append(numbers.setdefault(group, len(numbers)))
    found.ids += unhexlify(b"".join(ids).replace(b"-", b""))
    found.hashes += b"".join(hashes)
    found.groups.append(np.array(groups, np.int32))


def _has_escape_or_control(block: bytes, lines: list[bytes]) -> bool:
    """Whether any value of the block may hold a backslash or a control character."""
    if block.count(b"\\") != block.count(b"\\N") or b"\x7f" in block:
        return True
    low = int(np.count_nonzero(np.frombuffer(block, np.uint8) < 0x20))
    return low != len(lines) * _FIELDS


def unescaped(line: bytes) -> list[bytes]:
    """Fields of a line as COPY wrote it, without its escapes; a null is one byte 0x00."""
    fields, start, place = [], 0, 0
    while place < len(line):
        if line[place : place + 1] == b"\\":
            place += 2
        elif line[place : place + 1] == SEPARATOR:
            fields.append(line[start:place])
            place += 1
            start = place
        else:
            place += 1
    fields.append(line[start:])
    return [
        NULL
        if text == b"\\N"
        else _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
        for text in fields
    ]


def _has_control(fields: Iterable[bytes]) -> bool:
    return any(_CONTROL.search(text) for text in fields)


def _hash_of(fields: list[bytes], version: bytes | None = None) -> bytes:
    """Hash of a row by its fields, spelled with the care that JSON and version 1 take."""
    preimage = version or fields[_PREIMAGE]
    spelled = fields[: -len(_BESIDE)]
    gases = spelled[_AT["other_gases"]]
    if gases != NULL:
        spelled[_AT["other_gases"]] = _json_text(gases)
    if preimage == b"1":
        del spelled[_QUALITY_FROM:_QUALITY_TO]
    tag = _TAG.get(preimage, b"unknown" + SEPARATOR)
    return hashlib.sha256(tag + SEPARATOR.join(spelled)).digest()


def _json_text(text: bytes) -> bytes:
    """Keys in code-point order, no blanks; what is no object of texts stays as it is, which no
    writer writes.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if type(value) is not dict or any(type(one) is not str for one in value.values()):
        return text
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _remark_of_version_1(fields: list[bytes]) -> str:
    filled = [
        name
        for name, text in zip(QUALITY_COLUMNS, fields[_QUALITY_FROM:_QUALITY_TO], strict=True)
        if text != NULL
    ]
    return f"{', '.join(filled)} filled in a row of version 1" if filled else ""


def _note(found: Scan, fields: list[bytes], computed: bytes, remark: str) -> None:
    found.altered_count += 1
    if len(found.altered) < ALTERED_MAX:
        found.altered.append(
            AlteredRow(
                entry_id=fields[_AT["entry_id"]].decode(),
                activity_month=fields[_AT["activity_month"]].decode(),
                computed=computed,
                stored=unhexlify(fields[_STORED]) if fields[_STORED] != NULL else b"",
                remark=remark,
                other_version=_hash_of(fields, b"1" if fields[_PREIMAGE] == b"2" else b"2"),
            )
        )


def id_texts(ids: bytes) -> Iterator[str]:
    """Ids of 16 bytes each as PostgreSQL prints them."""
    for start in range(0, len(ids), 16):
        text = ids[start : start + 16].hex()
        yield "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
