"""Pieces of a long answer, made while those before them are sent.

Belongs here: a thread that makes them, a few ahead and no more. Does not: what they are
(carbon_ledger.store.entry_export), sending them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Final

PIECES: Final = 2


def made_ahead(
    pieces: Generator[bytes, None, None], ahead: int = PIECES
) -> Generator[bytes, None, None]:
    """The same pieces, of which at most `ahead` (two or more) wait to be taken.

    Raises what making them raises, after those that were made. Once it is closed nothing more is
    made, and `pieces` is closed where it is made, as soon as the piece under way is there.
    """
    made: queue.Queue[bytes | None] = queue.Queue(ahead)
    is_over = threading.Event()

    def make() -> None:
        try:
            with closing(pieces):
                for piece in pieces:
                    made.put(piece)
                    if is_over.is_set():
                        return
        finally:
            made.put(None)

    maker = ThreadPoolExecutor(1, "export")
    try:
        making = maker.submit(make)
        while (piece := made.get()) is not None:
            yield piece
        making.result()
    finally:
        is_over.set()
        # Makes room, so that the thread finds out.
        with suppress(queue.Empty):
            while True:
                made.get_nowait()
        maker.shutdown(wait=False)
