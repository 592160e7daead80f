"""Connections that read the ledger for many callers, each of one organization.

Belongs here: lending them out, how many there are, from when on an answer is final. Does not: what
is asked (the modules beside this one), who may ask (api.security).

A connection sees the rows of the organization it was opened for, by row security, for as long as it
lives: a query that forgot to say whose rows it wants shows nobody else's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from carbon_ledger.errors import RejectedRecord, Unavailable
from carbon_ledger.store.connect import connect
from carbon_ledger.store.read import knowledge_horizon, settled_horizon
from carbon_ledger.store.rows import Connection

READERS: Final = 12
WAIT_SECONDS: Final = 2
STATEMENT_SECONDS: Final = 30


class ReaderPool:
    """Reader connections, opened as they are needed, each with one user at a time.

    There are `size` and no more. Safe to use from several threads.
    """

    def __init__(
        self,
        database_url: str,
        *,
        size: int = READERS,
        statement_seconds: int = STATEMENT_SECONDS,
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        self._url = database_url
        self._size = size
        self._statement_seconds = statement_seconds
        self._wait_seconds = wait_seconds
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        # By organization; the one that asked last is at the end.
        self._idle: OrderedDict[str, list[Connection]] = OrderedDict()
        self._open = 0

    @contextmanager
    def of(self, organization_id: str) -> Iterator[Connection]:
        """A connection, in autocommit mode, that sees this organization's rows alone.

        Raises Unavailable `busy` if all are in use, `answer_too_slow` for a statement that takes
        longer than it may, `database_unavailable` if PostgreSQL cannot be asked.
        """
        if not self._free.acquire(timeout=self._wait_seconds):
            raise Unavailable("busy", f"all {self._size} reading connections are in use")
        try:
            conn = self._take(organization_id)
            try:
                yield conn
            except psycopg.errors.QueryCanceled as error:
                self._discard(conn)
                raise Unavailable(
                    "answer_too_slow", f"the answer takes more than {self._statement_seconds} s"
                ) from error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._discard(conn)
                # The others have been there for as long: whoever asks again gets a new one.
                self.close()
                raise Unavailable("database_unavailable", "PostgreSQL cannot be asked") from error
            except Exception:
                # A refusal is told while nothing is under way: the connection is as good as before.
                if conn.info.transaction_status is TransactionStatus.IDLE:
                    self._give_back(organization_id, conn)
                else:
                    self._discard(conn)
                raise
            except BaseException:
                # Perhaps in the middle of an answer.
                self._discard(conn)
                raise
            self._give_back(organization_id, conn)
        finally:
            self._free.release()

    def close(self) -> None:
        """Closes those that are not in use."""
        with self._lock:
            idle = [conn for found in self._idle.values() for conn in found]
            self._idle.clear()
        for conn in idle:
            self._discard(conn)

    def _take(self, organization_id: str) -> Connection:
        spare = None
        with self._lock:
            idle = self._idle.get(organization_id)
            if idle:
                return idle.pop()
            if self._open >= self._size:
                # One of the organization that has asked for nothing the longest makes room.
                spare = next((found.pop() for found in self._idle.values() if found), None)
            self._open += 1
        if spare is not None:
            self._discard(spare)
        try:
            found = connect(
                self._url,
                "carbon reader pool",
                True,
                statement_seconds=self._statement_seconds,
                organizations=organization_id,
            )
        except BaseException:
            with self._lock:
                self._open -= 1
            raise
        # The way to an answer depends on what is asked: a month of a supplier, or everything.
        found.prepare_threshold = None
        return found

    def _give_back(self, organization_id: str, conn: Connection) -> None:
        if conn.closed or conn.broken:
            self._discard(conn)
            return
        with self._lock:
            self._idle.setdefault(organization_id, []).append(conn)
            self._idle.move_to_end(organization_id)

    def _discard(self, conn: Connection) -> None:
        with suppress(psycopg.Error):
            conn.close()
        with self._lock:
            self._open -= 1


def settled(conn: Connection, as_of: datetime | None) -> datetime:
    """`as_of` if an answer as of it never changes; for None the latest such moment.

    A moment just past, to which a writer under way may still add, is waited for. Raises
    RejectedRecord `not_known_yet`, which names the latest valid moment, for a later one.
    """
    if as_of is None:
        return knowledge_horizon(conn)
    horizon = settled_horizon(conn, as_of)
    if as_of > horizon:
        raise RejectedRecord(
            "not_known_yet",
            "more may become known of that moment: an answer would not be final",
            field="as_of",
            value=as_of.isoformat(),
            valid=f"a moment until {horizon.isoformat()}",
        )
    return as_of
