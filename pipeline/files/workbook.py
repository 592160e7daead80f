"""XLSX workbooks: a ZIP archive of XML parts, judged part by part before any of it is understood.

Belongs here: what a workbook from outside may be made of, and the rows of its first sheet. Does
not: limits of the process, checks all formats share. The parts are read by openpyxl, read-only.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO, Final
from xml.parsers import expat

import openpyxl
from openpyxl.utils import column_index_from_string

from pipeline.files.limits import FileRefused, Limits
from pipeline.files.row_checks import Said, check_column_count, check_header, row_of

_CHUNK: Final = 1 << 16
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NESTED: Final = (".zip", ".xlsx", ".xlsm", ".docx", ".jar", ".gz", ".7z", ".rar", ".xls", ".ods")
_ACTIVE: Final = re.compile(
    r"(vbaproject|activex|/embeddings/|externallinks|macrosheets|ctrlprops|connections\.xml"
    r"|querytables|customui)",
    re.IGNORECASE,
)
_LOCAL_HEADER_BYTES: Final = 30
_NAME_CHARACTERS: Final = 200
_CELL: Final = re.compile(r"([A-Z]{1,4})([0-9]{1,8})")
_SHEETS: Final = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)


def workbook_rows(source: BinaryIO, limits: Limits) -> Iterator[Said]:
    """The columns, then the rows of a workbook's first sheet."""
    start = source.read(4)
    source.seek(0)
    if start[:4] != b"PK\x03\x04":
        empty = not start
        raise FileRefused(
            "file_empty" if empty else "wrong_content",
            "the file is empty" if empty else "the file is no XLSX workbook",
            value=ascii(start),
            valid="a workbook saved as .xlsx, without a password",
        )
    try:
        with zipfile.ZipFile(source) as archive:
            _check_members(archive, limits)
            for member in archive.infolist():
                _check_part(archive, member, limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise FileRefused(
            "archive_broken",
            f"the workbook's archive cannot be unpacked: {error}",
            valid="a workbook saved anew by a spreadsheet program",
        ) from error
    source.seek(0)
    try:
        yield from _rows(source, limits)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError) as error:
        raise FileRefused(
            "broken_workbook",
            f"the workbook cannot be understood: {type(error).__name__}: {str(error)[:200]}",
            valid="a workbook saved anew by a spreadsheet program",
        ) from error


# ---- the archive


def _check_members(archive: zipfile.ZipFile, limits: Limits) -> None:
    members = archive.infolist()
    if len(members) > limits.members:
        raise FileRefused(
            "too_many_members",
            f"the workbook has {len(members):,} parts",
            value=len(members),
            valid=f"up to {limits.members} parts",
        )
    total = sum(member.file_size for member in members)
    if total > limits.unpacked_bytes:
        raise FileRefused(
            "unpacks_too_large",
            f"the workbook unpacks to {total:,} bytes",
            value=total,
            valid=f"up to {limits.unpacked_bytes:,} bytes",
        )
    names: set[str] = set()
    for member in members:
        _check_member(member, names)
        names.add(member.filename.lower())
    end = 0
    for member in sorted(members, key=lambda one: one.header_offset):
        if member.header_offset < end:
            raise FileRefused(
                "overlapping_members",
                "two parts of the workbook share bytes",
                field=member.filename,
                valid="parts one after another",
            )
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size


def _check_member(member: zipfile.ZipInfo, names: set[str]) -> None:
    name = member.orig_filename
    parts = name.replace("\\", "/").split("/")
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if (
        name.startswith("/")
        or ".." in parts
        or "\\" in name
        or ":" in name
        or not name.isprintable()
        or len(name) > _NAME_CHARACTERS
        or is_link
        or name.lower() in names
    ):
        raise FileRefused(
            "member_name",
            "a part of the workbook has a name that leads elsewhere, or that is there twice",
            field="part name",
            value=name,
            valid="relative names, each once, as a spreadsheet program writes them",
        )
    if member.flag_bits & 0x1:
        raise FileRefused(
            "encrypted", "the workbook is encrypted", field=name, valid="one without a password"
        )
    if member.compress_type not in _METHODS:
        raise FileRefused(
            "archive_broken",
            f"a part is packed by method {member.compress_type}",
            field=name,
            valid="stored or deflated parts",
        )
    if name.lower().endswith(_NESTED):
        raise _nested(name)
    if _ACTIVE.search(name):
        raise FileRefused(
            "active_content",
            "the workbook has macros, embedded objects or links to elsewhere",
            field=name,
            valid="a workbook of values only, saved as .xlsx",
        )


def _nested(name: str) -> FileRefused:
    return FileRefused(
        "nested_archive", "there is an archive in the workbook", field=name, valid="values only"
    )


def _check_part(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> None:
    """Unpacks one part as a stream, to nowhere, and looks at what comes."""
    is_xml = member.filename.lower().endswith((".xml", ".rels", ".vml"))
    watcher = _PartWatcher(member.filename, limits) if is_xml else None
    unpacked = 0
    with archive.open(member) as part:
        while chunk := part.read(_CHUNK):
            if not unpacked and chunk.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf")):
                raise _nested(member.filename)
            unpacked += len(chunk)
            if watcher is not None:
                watcher.feed(chunk, is_last=False)
    if watcher is not None:
        watcher.feed(b"", is_last=True)


class _PartWatcher:
    """Looks through an XML part for what no table needs: declared entities, depth, formulas."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._depth = 0
        self._cell = ""
        self._is_sheet = _SHEETS.fullmatch(name) is not None
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._on_document_type
        self._parser.EntityDeclHandler = self._on_document_type
        self._parser.ExternalEntityRefHandler = self._on_document_type
        self._parser.StartElementHandler = self._on_start
        self._parser.EndElementHandler = self._on_end
        if self._is_sheet:
            self._parser.CharacterDataHandler = self._on_text
        self._formula: list[str] | None = None

    def feed(self, chunk: bytes, *, is_last: bool) -> None:
        try:
            self._parser.Parse(chunk, is_last)
        except expat.ExpatError as error:
            raise FileRefused(
                "broken_workbook",
                f"a part of the workbook is no XML: {error}",
                field=self._name,
                valid="a workbook saved anew by a spreadsheet program",
            ) from error

    def _on_document_type(self, *_: Any) -> int:
        raise FileRefused(
            "document_type",
            "a part of the workbook declares a document type or entities",
            field=self._name,
            valid="parts without <!DOCTYPE and <!ENTITY, as spreadsheet programs write them",
        )

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise FileRefused(
                "too_deep",
                "a part of the workbook is nested too deeply",
                field=self._name,
                valid=f"up to {self._limits.depth} levels",
            )
        if not self._is_sheet:
            return
        local = name.rpartition(":")[2]
        if local == "c":
            self._cell = attributes.get("r", "")
            self._check_place()
        elif local == "f":
            self._formula = []

    def _on_text(self, text: str) -> None:
        if self._formula is not None and sum(map(len, self._formula)) < _NAME_CHARACTERS:
            self._formula.append(text)

    def _on_end(self, name: str) -> None:
        self._depth -= 1
        if self._formula is not None and name.rpartition(":")[2] == "f":
            row = _CELL.fullmatch(self._cell)
            raise FileRefused(
                "formula_cell",
                f"cell {self._cell or '?'} has a formula; formulas are never evaluated here",
                line=int(row[2]) if row else None,
                field=self._cell or None,
                value="=" + "".join(self._formula),
                valid="the value itself (in a spreadsheet program: paste as values)",
            )

    def _check_place(self) -> None:
        found = _CELL.fullmatch(self._cell)
        if found is None or len(found[1]) > 3:
            if self._cell:
                raise FileRefused(
                    "broken_workbook",
                    "a cell has no place in a sheet",
                    field=self._name,
                    value=self._cell,
                    valid="A1 to XFD1048576",
                )
            return
        check_column_count(
            column_index_from_string(found[1]), line=int(found[2]), limits=self._limits
        )


# ---- the rows


def _rows(source: BinaryIO, limits: Limits) -> Iterator[Said]:
    book = openpyxl.load_workbook(
        source, read_only=True, data_only=False, keep_vba=False, keep_links=False
    )
    if not book.worksheets:
        raise ValueError("there is no sheet")
    sheet = book.worksheets[0]
    sheet.reset_dimensions()
    columns: tuple[str, ...] | None = None
    for line, cells in enumerate(sheet.iter_rows(), start=1):
        if not cells:
            continue
        values = [_text(cell, line) for cell in cells]
        if columns is None:
            if any(values):
                columns = check_header(values, line=line, limits=limits)
                yield {"columns": columns}
            continue
        row = row_of(line, columns, values, exact=False, limits=limits)
        if row is None:
            continue
        errors = [cell.value for cell in cells if cell.data_type == "e"]
        if errors:
            row["problem"] = {
                "code": "error_cell",
                "message": f"a cell of the row says {errors[0]}",
                "field": next(name for name, text in row["cells"].items() if text == errors[0]),
                "value": str(errors[0]),
                "valid": "a value",
            }
        yield row
    if columns is None:
        raise FileRefused("file_empty", "the first sheet is empty", valid="a header and a row")


def _text(cell: Any, line: int) -> str:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        raise FileRefused(
            "formula_cell",
            f"cell {cell.coordinate} has a formula; formulas are never evaluated here",
            line=line,
            field=cell.coordinate,
            value=value,
            valid="the value itself (in a spreadsheet program: paste as values)",
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # The shortest text that denotes the binary number, without an exponent.
        return format(Decimal(repr(value)), "f")
    return value.isoformat() if isinstance(value, datetime | date | time) else str(value)
