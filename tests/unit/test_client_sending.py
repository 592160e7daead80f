"""What is sent again, and files of exports: whole or not there, also where two are written."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from api.client_sending import TRIES, Export, is_tried_again
from api.problems import problem_of
from carbon_ledger.errors import Unavailable


@pytest.mark.parametrize(
    ("code", "status", "is_again"),
    [("database_unavailable", 503, True), ("busy", 503, True), ("answer_too_slow", 504, False)],
)
def test_what_would_take_as_long_again_is_not_sent_again(
    code: str, status: int, is_again: bool
) -> None:
    answer = problem_of(Unavailable(code, "told in the log")).response()
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == is_again
    assert is_tried_again(httpx.Response(status), 1) == is_again
    assert not is_tried_again(httpx.Response(status), TRIES)


def test_two_exports_to_one_path_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "entries.csv"
    first, second = Export(path), Export(path)
    for piece in (b"1", b"2"):
        first.write(piece)
        second.write(piece * 2)
    first.finish()
    assert path.read_bytes() == b"12"
    second.finish()
    assert path.read_bytes() == b"1122"
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_dropped_export_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "entries.csv"
    path.write_bytes(b"before")
    dropped = Export(path)
    dropped.write(b"1")
    dropped.drop()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
