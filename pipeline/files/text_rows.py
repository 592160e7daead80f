"""CSV and JSON, line by line and item by item.

Belongs here: the two text formats. Does not: limits of the process, checks all formats share.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from pipeline.files.limits import FileRefused, Limits
from pipeline.files.row_checks import Said, check_column_count, check_header, row_of

_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = " \t\r\n"
# First bytes of what is none of our text formats, and what it is.
_OTHERS: Final = (
    (b"PK\x03\x04", "a ZIP archive or workbook"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old .xls workbook or an encrypted one"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)


def csv_rows(source: BinaryIO, limits: Limits) -> Iterator[Said]:
    """The columns, then the rows of a CSV file: UTF-8, comma or semicolon, quotes doubled."""
    _refuse_others(source, "csv")
    csv.field_size_limit(limits.cell_characters + 1)
    lines = _lines(source, limits)
    first = next(lines, "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(_chain(first, lines), delimiter=delimiter, strict=True)
    columns: tuple[str, ...] | None = None
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise _csv_refusal(error, line, limits) from error
        if values is None:
            break
        if columns is None:
            columns = check_header(values, line=line, limits=limits)
            yield {"columns": columns}
            continue
        check_column_count(len(values), line=line, limits=limits)
        row = row_of(line, columns, values, exact=True, limits=limits)
        if row is not None:
            yield row
    if columns is None:
        raise _empty()


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _csv_refusal(error: csv.Error, line: int, limits: Limits) -> FileRefused:
    if "field limit" in str(error):
        return FileRefused(
            "cell_too_long",
            "a cell is too long, or its quote is never closed",
            line=line,
            valid=f"up to {limits.cell_characters:,} characters; a quote at both ends",
        )
    return FileRefused(
        "broken_csv",
        f"this is no CSV: {error}",
        line=line,
        valid='cells with separator, quote or line end in "quotes", quotes in them doubled',
    )


def _lines(source: BinaryIO, limits: Limits) -> Iterator[str]:
    """The physical lines as text; never more than one line in memory."""
    number = 0
    while True:
        raw = source.readline(limits.line_bytes + 1)
        if not raw:
            return
        number += 1
        if len(raw) > limits.line_bytes:
            raise FileRefused(
                "line_too_long",
                f"line {number} has more than {limits.line_bytes:,} bytes",
                line=number,
                valid=f"lines of up to {limits.line_bytes:,} bytes",
            )
        yield _text(raw.removeprefix(_BOM) if number == 1 else raw, number)


def _text(raw: bytes, line: int) -> str:
    if b"\x00" in raw:
        raise FileRefused(
            "nul_byte",
            "there is a NUL byte in the text",
            line=line,
            value=ascii(raw[:60]),
            valid="UTF-8 text",
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileRefused(
            "not_utf8",
            f"byte {error.start + 1} of the line is not UTF-8",
            line=line,
            value=ascii(raw[max(0, error.start - 10) : error.start + 10]),
            valid="UTF-8 text (in a spreadsheet program: save as 'CSV UTF-8')",
        ) from error


def _refuse_others(source: BinaryIO, format_: str) -> None:
    start = source.read(8)
    source.seek(0)
    if not start:
        raise _empty()
    for magic, what in _OTHERS:
        if start.startswith(magic):
            is_utf16 = what.startswith("UTF-16")
            raise FileRefused(
                "not_utf8" if is_utf16 else "wrong_content",
                f"the file is {what}",
                value=ascii(start),
                valid="UTF-8 text" if is_utf16 else f"what its name says, .{format_}",
            )


def _empty() -> FileRefused:
    return FileRefused("file_empty", "the file is empty", valid="a header and a row")


# ---- JSON


def json_rows(source: BinaryIO, limits: Limits) -> Iterator[Said]:
    """The rows of a JSON array of objects; a row's line is the one its object begins on."""
    _refuse_others(source, "json")
    text = _text(source.read(limits.file_bytes + 1).removeprefix(_BOM), 1)
    items = list(_items(text, limits)) if len(text) < limits.line_bytes else None
    columns: dict[str, None] = {}
    for _, item in items if items is not None else _items(text, limits):
        columns.update(dict.fromkeys(item))
        check_column_count(len(columns), line=1, limits=limits)
    names = check_header(list(columns), line=1, limits=limits) if columns else ()
    yield {"columns": names}
    for line, item in items if items is not None else _items(text, limits):
        values = list(item.values())
        row = row_of(line, list(item), values, exact=False, limits=limits)
        if row is not None:
            yield row


def _items(text: str, limits: Limits) -> Iterator[tuple[int, dict[str, str]]]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_once,
        parse_float=_Literal,
        parse_int=_Literal,
        parse_constant=_no_number,
    )
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise _broken_json(text, at, "the file does not begin with [")
    at = _skip(text, at + 1)
    counted, line = 0, 1
    while text[at : at + 1] != "]":
        line += text.count("\n", counted, at)
        counted = at
        if text[at : at + 1] != "{":
            raise _broken_json(text, at, "a row is no object")
        try:
            found, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise _broken_json(text, error.pos, error.msg) from error
        except RecursionError as error:
            raise _too_deep(line, limits) from error
        except _Refused as error:
            raise FileRefused("broken_json", str(error), line=line, valid=error.valid) from error
        yield line, {name: _cell(value, line, limits) for name, value in found.items()}
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
            if text[at : at + 1] == "]":
                raise _broken_json(text, at, "there is a comma before ]")
        elif text[at : at + 1] != "]":
            raise _broken_json(text, at, "there is no comma between two rows, or no ] at the end")
    if _skip(text, at + 1) != len(text):
        raise _broken_json(text, at + 1, "there is something after the last ]")


class _Literal(str):
    """A number as it stands in the file."""

    __slots__ = ()


class _Refused(ValueError):
    def __init__(self, message: str, valid: str) -> None:
        super().__init__(message)
        self.valid = valid


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"{twice[:60]!r} is there twice in one object", "each name once")
    return found


def _no_number(text: str) -> Any:
    raise _Refused(f"{text} is no number", "a number, or null")


def _cell(value: Any, line: int, limits: Limits) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    written = io.StringIO()
    _write(value, written, 0, line, limits)
    return written.getvalue()


def _write(value: Any, out: io.StringIO, depth: int, line: int, limits: Limits) -> None:
    """Writes nested JSON again, with its numbers as they stood."""
    if depth > limits.depth:
        raise _too_deep(line, limits)
    if isinstance(value, dict | list):
        is_object = isinstance(value, dict)
        out.write("{" if is_object else "[")
        for position, one in enumerate(value):
            out.write("," if position else "")
            if is_object:
                out.write(json.dumps(one) + ":")
            _write(value[one] if is_object else one, out, depth + 1, line, limits)
        out.write("}" if is_object else "]")
    elif isinstance(value, _Literal):
        out.write(value)
    else:
        out.write(json.dumps(value))


def _too_deep(line: int, limits: Limits) -> FileRefused:
    return FileRefused(
        "too_deep",
        "the row is nested too deeply",
        line=line,
        valid=f"up to {limits.depth} levels",
    )


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _broken_json(text: str, at: int, why: str) -> FileRefused:
    return FileRefused(
        "broken_json",
        f"this is no JSON table: {why}",
        line=text.count("\n", 0, at) + 1,
        value=text[at : at + 40],
        valid="an array of objects, one for each row: [{...}, {...}]",
    )
