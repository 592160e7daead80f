"""The rows of a bulk body: an array, or one JSON document a line, each with its own bytes.

Belongs here: cutting a body into rows without losing what was written. Does not: what a row means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from api.problems import Problem
from carbon_ledger.errors import RejectedRecord

ROWS_MAX: Final = 5_000
ROW_BYTES_MAX: Final = 256 * 1024
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# Only where a value ends is asked; what it means is read later, from its own bytes. Numbers stay
# text, because a whole number of many digits costs far more than its length to be made.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def rows_of(body: bytes) -> list[bytes]:
    """The bytes of each row, in order. Raises Problem 413 `too_many_rows`, `row_too_large`, and
    RejectedRecord `no_rows`, `not_json` for an array that cannot be cut.
    """
    found: list[bytes] = []
    for row in _elements(body) if body.lstrip()[:1] == b"[" else _lines(body):
        if len(row) > ROW_BYTES_MAX:
            raise Problem(
                413,
                "row_too_large",
                f"row {len(found) + 1} is too large; nothing was taken",
                valid=f"at most {ROW_BYTES_MAX} bytes a row",
            )
        found.append(row)
        if len(found) > ROWS_MAX:
            raise Problem(
                413,
                "too_many_rows",
                "there are too many rows at once; nothing was taken",
                valid=f"at most {ROWS_MAX} rows",
            )
    if not found:
        raise RejectedRecord("no_rows", "there is no row", valid="an array, or a document a line")
    return found


def _lines(body: bytes) -> Iterator[bytes]:
    for line in body.split(b"\n"):
        row = line.strip(b" \t\r")
        if row:
            yield row


def _elements(body: bytes) -> Iterator[bytes]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise RejectedRecord("not_utf8", "the body is no UTF-8", valid="UTF-8") from None
    place = _after_space(text, text.index("[") + 1)
    if text[place : place + 1] == "]":
        _check_end(text, place + 1)
        return
    while True:
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError) as error:
            raise _not_json(str(error)) from None
        yield text[place:end].encode()
        place = _after_space(text, end)
        mark = text[place : place + 1]
        if mark == "]":
            _check_end(text, place + 1)
            return
        if mark != ",":
            raise _not_json(f"neither , nor ] at character {place}")
        place = _after_space(text, place + 1)


def _check_end(text: str, place: int) -> None:
    if _after_space(text, place) != len(text):
        raise _not_json(f"something follows the array at character {place}")


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


def _not_json(what: str) -> RejectedRecord:
    return RejectedRecord("not_json", "the body is no JSON", value=what, valid="a JSON array")
