"""How a line of COPY becomes the bytes that are hashed: nulls, escapes, other spellings; and what
is said where half of the lines have no result."""

from __future__ import annotations

import hashlib
import multiprocessing
from dataclasses import replace

import pytest

from carbon_ledger import entries
from carbon_ledger.entries import EntryRow
from tests.support.entry_examples import examples
from verifier import verify
from verifier.check_proof import QUALITY_COLUMNS, canonical_bytes
from verifier.connection import CannotVerify
from verifier.entries import Scan, _take, copy_statement, unescaped
from verifier.findings import Report

ESCAPES = {"\\": "\\\\", "\b": "\\b", "\n": "\\n", "\t": "\\t", "\x1f": "\\\x1f", "\r": "\\r"}


def copied(row: EntryRow, preimage: str = "2", stored: bytes | None = None) -> bytes:
    """The line that PostgreSQL's COPY writes for `row`."""
    texts = []
    for name, kind in entries.CANONICAL:
        value = getattr(row, name)
        text = None if value is None else entries.SPELLING[kind](value)
        if kind == "json" and text is not None:
            text = text.replace('":"', '": "').replace('","', '", "')
        texts.append(text)
    stored = entries.content_sha256(row) if stored is None else stored
    texts += [preimage, stored.hex(), None if row.batch_id is None else str(row.batch_id)]
    texts.append("t" if row.other_gases is None else "f")
    spelled = [
        "\\N" if text is None else "".join(ESCAPES.get(one, one) for one in text) for text in texts
    ]
    return "\x1f".join(spelled).encode() + b"\n"


def taken(*lines: bytes) -> Scan:
    found = Scan()
    _take(b"".join(lines), found, {})
    return found


def test_every_shape_of_entry_has_the_hash_beside_it() -> None:
    rows = list(examples().values())
    found = taken(*(copied(row) for row in rows))
    assert found.altered == []
    assert bytes(found.hashes) == b"".join(entries.content_sha256(row) for row in rows)
    assert bytes(found.ids) == b"".join(row.entry_id.bytes for row in rows)


def row_with(name: str, text: str) -> EntryRow:
    return replace(examples()["full"], **{name: text})


def test_a_backslash_is_a_character_like_any_other() -> None:
    for text in ("\\", "\\N", "a\\b", "\\\\N", "x\\", "C:\\new"):
        for name in ("cause", "source_ref", "region"):
            row = row_with(name, text)
            assert taken(copied(row), copied(examples()["plain"])).altered == []


def test_a_null_and_its_spelling_are_two_things() -> None:
    plain = row_with("cause", "\\N")
    changed = copied(plain).replace(b"\\\\N", b"\\N")
    (found,) = taken(changed, copied(examples()["plain"])).altered
    assert found.entry_id == str(plain.entry_id)


def test_a_control_character_is_a_difference_even_with_a_hash_that_fits() -> None:
    row = examples()["plain"]
    for character in ("\x01", "\x1f", "\n", "\t", "\x7f", "\x0e"):
        text = f"meter{character}1"
        fields = {
            name: None if getattr(row, name) is None else entries.SPELLING[kind](getattr(row, name))
            for name, kind in entries.CANONICAL
        }
        spelled = canonical_bytes({**fields, "source_ref": "meter*1"}, 2)
        fitting = hashlib.sha256(spelled.replace(b"meter*1", text.encode())).digest()
        (found,) = taken(copied(replace(row, source_ref=text), stored=fitting)).altered
        assert found.computed == found.stored == fitting
        assert found.remark == "a value holds a control character"


def test_a_row_of_version_1_may_not_fill_what_its_bytes_leave_out() -> None:
    bare = replace(examples()["full"], preimage=1, **dict.fromkeys(QUALITY_COLUMNS))
    assert taken(copied(bare, "1")).altered == []
    stored = entries.content_sha256(bare)
    filled = replace(bare, method="measured")
    (found,) = taken(copied(filled, "1", stored)).altered
    assert found.remark == "method filled in a row of version 1"
    (found,) = taken(copied(bare, "2", stored)).altered
    assert found.other_version == stored


def test_an_unknown_version_is_a_difference() -> None:
    (found,) = taken(copied(examples()["plain"], "3")).altered
    assert found.computed != found.stored


def test_gases_that_are_no_texts_are_a_difference() -> None:
    row = examples()["full"]
    line = copied(row)
    for wrong in (b'{"sf6": 1}', b"[]", b"5", b"null", b"{}"):
        fields = line[:-1].split(b"\x1f")
        place = [name for name, _ in entries.CANONICAL].index("other_gases")
        fields[place] = wrong
        (found,) = taken(b"\x1f".join(fields) + b"\n").altered
        assert found.entry_id == str(row.entry_id)


def test_fields_are_told_apart_by_the_separator_that_is_not_escaped() -> None:
    assert unescaped(b"a\x1f\\N\x1f\x1fb\\\x1fc\\\\\x1f\\n\\x") == [
        *(b"a", b"\x00", b"", b"b\x1fc\\", b"\nx"),
    ]


def test_the_two_halves_are_told_apart_by_the_id() -> None:
    assert copy_statement(0, 1).count("where") == 0
    assert "(uuid_hash(entry_id) & 1) = 0" in copy_statement(0, 2)
    assert "(uuid_hash(entry_id) & 1) = 1" in copy_statement(1, 2)


def test_a_report_counts_what_it_does_not_show() -> None:
    report = Report()
    for number in range(1003):
        report.add("entry_missing", "ledger.entry", "gone", entry_id=number)
    assert len(report.findings) == 1000
    assert report.as_json()["differences"] == 1003
    assert "entry_missing: 3 more are not shown." in report.lines()
    assert report.lines()[-1] == "1,003 differences."
    assert not report.is_clean


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("the ledger cannot be read: gone", "the ledger cannot be read: gone"),
        (None, "it ended early"),
        (..., "it took longer than 0 s"),
    ],
)
def test_without_the_other_half_there_is_no_verdict_and_why_is_said(
    monkeypatch: pytest.MonkeyPatch, sent: object, why: str
) -> None:
    monkeypatch.setattr(verify, "WORKER_SECONDS", 0)
    here, there = multiprocessing.Pipe(duplex=False)
    if isinstance(sent, str):
        there.send(sent)
    elif sent is None:
        there.close()
    with pytest.raises(CannotVerify, match=f"half of the entries have no result: {why}"):
        verify.received(here)
