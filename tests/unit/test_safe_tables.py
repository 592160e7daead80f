"""Rows of files from outside: what is read comes exactly, what is hostile is refused by name."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from carbon_ledger.errors import Unavailable
from pipeline.files.limits import DEFAULT_LIMITS, FileRefused, Limits
from pipeline.files.row_checks import Said, looks_like_formula
from pipeline.files.safe_tables import TableRow, format_of, read_table
from pipeline.files.text_rows import csv_rows, json_rows
from pipeline.files.workbook import workbook_rows
from tests.support.hostile_files import HostileFile, hostile_files, workbook

READERS = {"csv": csv_rows, "json": json_rows, "xlsx": workbook_rows}
PLAIN = workbook([["a", "b"], [1, "x"]])
# Bombs are small here, and so is what a workbook may unpack to.
SMALL = Limits(unpacked_bytes=4 << 20)
HOSTILE = hostile_files(PLAIN, bomb_bytes=(5 << 20) + 7)


def rows(name: str, content: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Said]:
    """What the reading process would say, said in this one."""
    return list(READERS[format_of(name)](io.BytesIO(content), limits))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: one.what)
def test_a_hostile_file_is_refused_with_its_code(hostile: HostileFile) -> None:
    with pytest.raises(FileRefused) as caught:
        rows(hostile.name, hostile.content, SMALL)
    assert caught.value.code == hostile.code
    assert caught.value.valid


def test_csv_cells_come_as_they_stand_with_their_lines() -> None:
    content = '\ufeffid,amount,note\r\n1,-0.50,"two\r\nlines"\r\n,,\r\n2,1e3,"a ""b"""\r\n'
    assert rows("a.csv", content.encode()) == [
        {"columns": ("id", "amount", "note")},
        {"line": 2, "cells": {"id": "1", "amount": "-0.50", "note": "two\r\nlines"}},
        {"line": 5, "cells": {"id": "2", "amount": "1e3", "note": 'a "b"'}},
    ]


def test_a_semicolon_file_is_read_and_its_decimal_commas_are_left_alone() -> None:
    assert rows("a.csv", b"id;amount\n1;1,5\n")[1]["cells"] == {"id": "1", "amount": "1,5"}


def test_a_row_that_does_not_fit_its_header_is_told_and_the_others_are_read() -> None:
    said = rows("a.csv", b"a,b\n1,2,3\n1\n1,2\n")
    assert [one.get("problem", {}).get("code") for one in said[1:]] == [
        "cell_count",
        "cell_count",
        None,
    ]


def test_json_numbers_keep_every_digit_and_rows_have_lines() -> None:
    content = (
        b'[{"a": 1.10, "b": [1.0, "x", {"c": null}]},\n {"a": 12345678901234567890123, "d": true}]'
    )
    assert rows("a.json", content) == [
        {"columns": ("a", "b", "d")},
        {"line": 1, "cells": {"a": "1.10", "b": '[1.0,"x",{"c":null}]'}},
        {"line": 2, "cells": {"a": "12345678901234567890123", "d": "true"}},
    ]


def test_workbook_numbers_are_the_shortest_text_of_what_is_stored() -> None:
    content = workbook([["a", "b"], [0.1, 1e-7], [None, None], [5, True], [2.5e20, "t"]])
    assert rows("a.xlsx", content)[1:] == [
        {"line": 2, "cells": {"a": "0.1", "b": "0.0000001"}},
        {"line": 4, "cells": {"a": "5", "b": "true"}},
        {"line": 5, "cells": {"a": "250000000000000000000", "b": "t"}},
    ]


def test_an_error_value_of_a_workbook_is_told_with_its_column() -> None:
    problem = rows("a.xlsx", workbook([["a", "b"], [1, "#REF!"]]))[1]["problem"]
    assert (problem["code"], problem["field"], problem["value"]) == ("error_cell", "b", "#REF!")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("=1", True),
        ("@a", True),
        ("\tx", True),
        ("+1|x", True),
        ("-cmd!A0", True),
        ("-1.5", False),
        ("+49 30", False),
        ("- none", False),
        ("a=b", False),
    ],
)
def test_what_a_spreadsheet_would_compute(text: str, is_one: bool) -> None:
    assert looks_like_formula(text) is is_one


# ---- through the process of its own


def test_a_table_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "drop.part"
    path.write_bytes(b"a,b\n1,x\n2,y\n")
    with read_table(path, name="2025.csv") as table:
        assert (table.format, table.columns, table.row_count) == ("csv", ("a", "b"), 2)
        assert list(table) == list(table)
        assert list(table)[1] == TableRow(line=3, cells={"a": "2", "b": "y"})


def test_a_refusal_comes_back_whole_and_no_row_before_it() -> None:
    with pytest.raises(FileRefused) as caught:
        read_table(b"a,b\n1,x\n2,=1\n", name="a.csv")
    refusal = caught.value
    assert (refusal.code, refusal.line, refusal.field, refusal.value) == (
        "formula_cell",
        3,
        "b",
        "=1",
    )


def test_a_file_above_the_limit_is_not_even_opened_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(FileRefused, match="1,073,741,824 bytes"):
        read_table(path)


def test_a_line_of_a_gigabyte_stops_at_its_limit_with_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "line.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,x")
        file.truncate(1 << 30)
    with pytest.raises(FileRefused) as caught:
        read_table(path, limits=Limits(file_bytes=2 << 30, memory_bytes=160 << 20))
    assert caught.value.code == "line_too_long"


def test_the_reader_has_no_more_memory_than_it_may() -> None:
    content = b'[{"a":"' + b"x" * (30 << 20) + b'"}]'
    with pytest.raises(FileRefused) as caught:
        read_table(content, name="a.json", limits=Limits(memory_bytes=96 << 20))
    assert caught.value.code == "too_much_memory"


def test_a_reader_that_is_not_done_in_time_is_ended_and_the_file_not_blamed() -> None:
    with pytest.raises(Unavailable) as caught:
        read_table(b"a\n1\n", name="a.csv", limits=Limits(wall_seconds=0.0))
    assert caught.value.code == "reader_stalled"


def test_the_reader_learns_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBON_SECRET_OF_TEST", "x")
    seen: list[dict[str, str]] = []
    from pipeline.files import safe_tables

    real = safe_tables.subprocess.Popen

    def spy(*arguments: object, **options: object) -> object:
        seen.append(dict(options["env"]))  # type: ignore[call-overload]
        return real(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(safe_tables.subprocess, "Popen", spy)
    read_table(b"a\n1\n", name="a.csv").close()
    assert "CARBON_SECRET_OF_TEST" in os.environ
    assert "CARBON_SECRET_OF_TEST" not in seen[0]
