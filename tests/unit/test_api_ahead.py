"""Pieces made ahead: the same ones, so many and no more, and an end that everybody hears of."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from api.ahead import made_ahead
from carbon_ledger.errors import Unavailable


class Source:
    """Pieces that are counted as they are made; `fails` after the last one."""

    def __init__(self, count: int, fails: bool = False) -> None:
        self.count, self.fails = count, fails
        self.made = 0
        self.is_closed = threading.Event()

    def pieces(self) -> Generator[bytes, None, None]:
        try:
            for number in range(self.count):
                self.made += 1
                yield b"%d" % number
            if self.fails:
                raise Unavailable("database_unavailable", "gone")
        finally:
            self.is_closed.set()


def settles(source: Source, made: int) -> bool:
    deadline = time.monotonic() + 10
    while source.made < made and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    return source.made == made


def test_the_pieces_are_the_same_in_the_same_order() -> None:
    source = Source(500)
    assert [*made_ahead(source.pieces())] == [b"%d" % number for number in range(500)]
    assert source.is_closed.is_set()
    assert [*made_ahead(Source(0).pieces())] == []


def test_so_many_are_made_ahead_and_no_more() -> None:
    source = Source(100)
    pieces = made_ahead(source.pieces(), 3)
    assert source.made == 0
    assert next(pieces) == b"0"
    # Three wait, and the next one is in the hands of the thread.
    assert settles(source, 5)
    assert next(pieces) == b"1"
    assert settles(source, 6)
    pieces.close()


def test_an_error_comes_after_the_pieces_that_were_made() -> None:
    pieces = made_ahead(Source(4, fails=True).pieces())
    assert [next(pieces) for _ in range(4)] == [b"0", b"1", b"2", b"3"]
    with pytest.raises(Unavailable, match="gone"):
        next(pieces)


def test_whoever_stops_listening_stops_the_making_and_closes_the_source() -> None:
    source = Source(1_000_000)
    pieces = made_ahead(source.pieces())
    next(pieces)
    assert settles(source, 4)
    pieces.close()
    assert source.is_closed.wait(10)
    assert source.made == 4
    names = [one.name for one in threading.enumerate()]
    deadline = time.monotonic() + 10
    while any(name.startswith("export") for name in names) and time.monotonic() < deadline:
        time.sleep(0.005)
        names = [one.name for one in threading.enumerate()]
    assert not [name for name in names if name.startswith("export")]
