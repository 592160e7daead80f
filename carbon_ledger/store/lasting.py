"""A connection that outlives its server's restart, for a service that asks now and then.

Belongs here: opening it when first asked and anew after it was lost. Does not: what is asked, locks
between threads, caches (carbon_ledger.store.keys, carbon_ledger.store.vault).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psycopg

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.store.rows import Connection

T = TypeVar("T")


class LastingConnection:
    """Opened by `connect` when first asked; what it is lost with twice in a row is told by
    `unavailable`. For one thread at a time.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        unavailable: Callable[[psycopg.Error], Unavailable],
    ) -> None:
        self._connect, self._unavailable = connect, unavailable
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives on the connection; once more on a new one if it was lost, so it must be
        something that can be done twice. Raises what `unavailable` says, and what `connect` raises.
        """
        for is_last in (False, True):
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return work(self._connection)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self.close()
                if is_last:
                    raise self._unavailable(error) from error
        raise BrokenInvariant("connection_retries", "neither an answer nor an error")

    def close(self) -> None:
        """Closes the connection; the next question opens another one."""
        with suppress(psycopg.Error):
            if self._connection is not None:
                self._connection.close()
        self._connection = None
