"""Files of exports: whole or not there, also where two are written at once."""

from __future__ import annotations

from pathlib import Path

from api.client_sending import Export


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
