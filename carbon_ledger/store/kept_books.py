"""Books of factor releases, kept by a process that tells of one entry after the other.

Belongs here: how many are kept, and that each is read once. Does not: reading a release
(carbon_ledger.store.factors), which one an entry is of.

A release never changes, and its id has the hash of its rows, so what was read of it once holds for
good. Whether the database still has the rows that a figure rests on is for `check_factors` to say.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.store.factors import read_book
from carbon_ledger.store.rows import Connection

BOOKS: Final = 2


class KeptBooks:
    """The books that were asked for last, at most `size`. For several threads."""

    def __init__(self, size: int = BOOKS) -> None:
        self._size = size
        self._lock = threading.Lock()
        # The one that was asked for last is at the end.
        self._books: OrderedDict[str, FactorBook] = OrderedDict()

    def of(self, conn: Connection, release_id: str) -> FactorBook:
        """The book of a release; raises what read_book raises, and then keeps nothing."""
        # Held while one is read: who wants it meanwhile waits for it, and does not read it too.
        with self._lock:
            book = self._books.pop(release_id, None)
            if book is None:
                book = read_book(conn, release_id)
            self._books[release_id] = book
            while len(self._books) > self._size:
                self._books.popitem(last=False)
            return book
