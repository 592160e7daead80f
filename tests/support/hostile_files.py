"""Files that no honest sender sends, each with the code it is refused by.

Belongs here: building them. Does not: what refuses them.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import openpyxl

_ENTITY_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><sst><si><t>&j;</t></si></sst>"
)
_EXTERNAL_ENTITY = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    "<sst><si><t>&e;</t></si></sst>"
)


@dataclass(frozen=True, kw_only=True)
class HostileFile:
    """One such file: what it is, its name and bytes, the code of its refusal."""

    what: str
    name: str
    content: bytes
    code: str


def workbook(rows: Sequence[Sequence[object]]) -> bytes:
    """A workbook whose first sheet has these rows."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rewritten(
    content: bytes, change: Callable[[zipfile.ZipFile], None], *, leave_out: str = ""
) -> bytes:
    """The workbook without part `leave_out`, and with what `change` writes into it."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            if name != leave_out:
                new.writestr(name, old.read(name))
        change(new)
    return out.getvalue()


def hostile_files(plain: bytes, *, bomb_bytes: int = 300 << 20) -> tuple[HostileFile, ...]:
    """Thirty and more; `plain` is an honest workbook, from which the workbooks among them are made.

    None is larger than some MB: a line of a gigabyte is made where it is sent.
    """

    def with_part(name: str, text: bytes | str) -> bytes:
        return rewritten(plain, lambda new: new.writestr(name, text), leave_out=name)

    books = (
        ("zip bomb", with_part("xl/media/a.png", bytes(bomb_bytes)), "unpacks_too_large"),
        ("zip bomb that lies", lying_bomb(plain, bomb_bytes), "archive_broken"),
        ("overlapping parts", overlapping(plain), "overlapping_members"),
        ("archive in it", with_part("xl/a.zip", plain), "nested_archive"),
        ("archive in disguise", with_part("xl/media/a.png", plain), "nested_archive"),
        ("traversal part", with_part("../../evil.xml", "<a/>"), "member_name"),
        ("absolute part", with_part("/etc/evil.xml", "<a/>"), "member_name"),
        ("backslash part", with_part("..\\evil.xml", "<a/>"), "member_name"),
        ("symbolic link part", rewritten(plain, _link), "member_name"),
        ("part twice", with_part("XL/WORKBOOK.XML", "<a/>"), "member_name"),
        ("external entity", with_part("xl/sharedStrings.xml", _EXTERNAL_ENTITY), "document_type"),
        ("entity bomb", with_part("xl/sharedStrings.xml", _ENTITY_BOMB), "document_type"),
        (
            "entity in UTF-16",
            with_part(
                "xl/sharedStrings.xml",
                _EXTERNAL_ENTITY.replace("?>", ' encoding="UTF-16"?>', 1).encode("utf-16"),
            ),
            "document_type",
        ),
        ("deep XML", with_part("xl/sharedStrings.xml", "<a>" * 90 + "</a>" * 90), "too_deep"),
        ("formula cell", workbook([["a", "b"], [1, "=SUM(A1:A9)"]]), "formula_cell"),
        ("formula text", workbook([["a"], ["@SUM(A1)"]]), "formula_cell"),
        ("macros", with_part("xl/vbaProject.bin", b"\xd0\xcf"), "active_content"),
        (
            "external link",
            with_part("xl/externalLinks/externalLink1.xml", "<a/>"),
            "active_content",
        ),
        ("too many parts", rewritten(plain, _many), "too_many_members"),
        ("many columns", workbook([[f"c{n}" for n in range(10_000)], [1]]), "too_many_columns"),
        ("cut workbook", plain[: len(plain) // 2], "archive_broken"),
        ("old workbook", b"\xd0\xcf\x11\xe0" + bytes(600), "wrong_content"),
        ("CSV in disguise", b"a,b\n1,2\n", "wrong_content"),
        ("encrypted part", _flagged(plain), "encrypted"),
    )
    csvs = (
        ("command", b"a,b\n1,=cmd|'/C calc'!A0\n", "formula_cell"),
        ("command after a sign", b"a,b\n1,-2+3+cmd|'/C calc'!A0\n", "formula_cell"),
        ("NUL", b"a,b\n1,x\x00y\n", "nul_byte"),
        ("UTF-16", "a,b\n1,2\n".encode("utf-16"), "not_utf8"),
        ("Latin-1", "a,b\n1,Müller\n".encode("latin-1"), "not_utf8"),
        ("escape sequence", b"a,b\n1,\x1b[2J\n", "control_character"),
        ("long line", b"a,b\n1," + b"x" * (2 << 20) + b"\n", "line_too_long"),
        ("many columns", b",".join(b"c%d" % n for n in range(10_000)) + b"\n", "too_many_columns"),
        ("open quote", b'a,b\n1,"' + b"x\n" * 40_000, "cell_too_long"),
        ("workbook in disguise", plain, "wrong_content"),
        ("empty", b"", "file_empty"),
        ("column twice", b"a,a\n1,2\n", "column_twice"),
    )
    texts = (
        ("deep", b'[{"a":' + b"[" * 100_000, "too_deep"),
        ("name twice", b'[{"a":1,"a":2}]', "broken_json"),
        ("not a number", b'[{"a":NaN}]', "broken_json"),
        ("no array", b'{"a":1}', "broken_json"),
        ("cut", b'[{"a":1},{"a"', "broken_json"),
    )
    return (
        *_named(books, "xlsx"),
        *_named(csvs, "csv"),
        *_named(texts, "json"),
        HostileFile(what="program", name="run.exe", content=b"MZ\x90", code="unknown_format"),
    )


def _named(files: Sequence[tuple[str, bytes, str]], ending: str) -> list[HostileFile]:
    return [
        HostileFile(
            what=f"{ending}: {what}",
            name=f"hostile-{number:02d}.{ending}",
            content=content,
            code=code,
        )
        for number, (what, content, code) in enumerate(files, start=1)
    ]


def _link(new: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("xl/link.xml")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    new.writestr(info, "/etc/passwd")


def _many(new: zipfile.ZipFile) -> None:
    for number in range(600):
        new.writestr(f"xl/media/{number}.png", b"x")


def _central(content: bytes) -> tuple[int, int]:
    """Where the central directory begins, and how many entries it has."""
    end = content.rindex(b"PK\x05\x06")
    count, _, start = struct.unpack_from("<HII", content, end + 10)
    return start, count


def _flagged(content: bytes) -> bytes:
    """The first entry says that it is encrypted."""
    changed = bytearray(content)
    start, _ = _central(content)
    changed[start + 8] |= 1
    changed[content.index(b"PK\x03\x04") + 6] |= 1
    return bytes(changed)


def overlapping(content: bytes) -> bytes:
    """The second entry of the directory points to the bytes of the first."""
    changed = bytearray(content)
    start, _ = _central(content)
    name, extra, comment = struct.unpack_from("<HHH", content, start + 28)
    second = start + 46 + name + extra + comment
    changed[second + 42 : second + 46] = content[start + 42 : start + 46]
    return bytes(changed)


def lying_bomb(content: bytes, bomb_bytes: int) -> bytes:
    """A part that says it has 1,000 bytes, and has many more."""
    bomb = rewritten(content, lambda new: new.writestr("xl/media/z.png", bytes(bomb_bytes)))
    return bomb.replace(struct.pack("<I", bomb_bytes), struct.pack("<I", 1000))
