"""A connection that was lost is opened anew once, and no oftener."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from carbon_ledger.errors import Unavailable
from carbon_ledger.store.lasting import LastingConnection


class Opened:
    """Stands for a connection: knows whether it was closed."""

    def __init__(self, number: int) -> None:
        self.number, self.is_closed = number, False

    def close(self) -> None:
        self.is_closed = True
        raise psycopg.OperationalError("closing a lost connection may fail")


class Server:
    """Opens connections, and loses as many of them as it was told to."""

    def __init__(
        self, *, loses: int, error: type[psycopg.Error] = psycopg.OperationalError
    ) -> None:
        self.opened: list[Opened] = []
        self.loses, self.error = loses, error

    def connect(self) -> Any:
        self.opened.append(Opened(len(self.opened)))
        return self.opened[-1]

    def answer(self, connection: Any) -> int:
        if connection.number < self.loses:
            raise self.error("the server closed the connection")
        return int(connection.number)

    def lasting(self) -> LastingConnection:
        return LastingConnection(
            self.connect, lambda error: Unavailable("things_unavailable", f"no things: {error}")
        )


def test_it_is_opened_when_first_asked_and_kept() -> None:
    server = Server(loses=0)
    lasting = server.lasting()
    assert server.opened == []
    assert [lasting.run(server.answer) for _ in range(3)] == [0, 0, 0]
    assert [one.is_closed for one in server.opened] == [False]


@pytest.mark.parametrize("error", [psycopg.OperationalError, psycopg.InterfaceError])
def test_one_that_was_lost_is_closed_and_asked_again_on_a_new_one(
    error: type[psycopg.Error],
) -> None:
    server = Server(loses=1, error=error)
    assert server.lasting().run(server.answer) == 1
    assert [one.is_closed for one in server.opened] == [True, False]


def test_one_that_is_lost_twice_is_told_and_the_next_question_tries_anew() -> None:
    server = Server(loses=2)
    lasting = server.lasting()
    with pytest.raises(Unavailable, match="no things: the server closed the connection"):
        lasting.run(server.answer)
    assert [one.is_closed for one in server.opened] == [True, True]
    assert lasting.run(server.answer) == 2


def test_an_error_of_the_question_is_not_the_connection_s() -> None:
    server = Server(loses=1, error=psycopg.errors.UniqueViolation)
    with pytest.raises(psycopg.errors.UniqueViolation):
        server.lasting().run(server.answer)
    assert [one.is_closed for one in server.opened] == [False]


def test_after_close_another_one_is_opened() -> None:
    server = Server(loses=0)
    lasting = server.lasting()
    lasting.run(server.answer)
    lasting.close()
    lasting.close()
    assert lasting.run(server.answer) == 1
