"""Connections that are lent to readers: kept after a refusal, thrown away after anything else."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from carbon_ledger.errors import RejectedRecord, Unavailable
from carbon_ledger.store.readers import ReaderPool
from devstack.postgres import Postgres
from tests.support.postgres import Connection, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture
def pool(ledger_server: Postgres) -> Iterator[ReaderPool]:
    with scratch_database(ledger_server.layout.database_url) as database:
        made = ReaderPool(database.reader_url, size=1, statement_seconds=1, wait_seconds=1)
        yield made
        made.close()


def session_of(conn: Connection) -> int:
    """Which of PostgreSQL's processes serves it."""
    return conn.info.backend_pid


def lent(pool: ReaderPool) -> int:
    with pool.of("default") as conn:
        return session_of(conn)


def asked_and_refused(pool: ReaderPool, statement: str) -> None:
    with pool.of("default") as conn:
        conn.execute(statement.encode())
        raise RejectedRecord("not_known_yet", "refused")


def refuse(pool: ReaderPool, statement: str) -> None:
    """Refuses a question after this statement."""
    with pytest.raises(RejectedRecord):
        asked_and_refused(pool, statement)


def test_a_refusal_costs_no_connection(pool: ReaderPool) -> None:
    first = lent(pool)
    refuse(pool, "select 1")
    assert lent(pool) == first


def test_a_connection_in_the_middle_of_something_is_not_lent_again(pool: ReaderPool) -> None:
    first = lent(pool)
    refuse(pool, "begin")
    second = lent(pool)
    assert second != first

    def pieces() -> Generator[bytes, None, None]:
        with pool.of("default") as conn, conn.cursor() as cursor:
            with cursor.copy("copy (select generate_series(1, 1000000)) to stdout") as copy:
                for row in copy:
                    yield bytes(row)

    begun = pieces()
    assert next(begun) == b"1\n"
    begun.close()
    assert lent(pool) != second


def test_an_answer_that_takes_too_long_is_told_as_that(pool: ReaderPool) -> None:
    with pytest.raises(Unavailable) as caught, pool.of("default") as conn:
        conn.execute("select pg_sleep(5)")
    assert caught.value.code == "answer_too_slow"
    assert lent(pool) > 0
