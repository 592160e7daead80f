"""What the API holds at once is bounded: bodies, producers, answers it remembers."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.bodies import BoundedBodies
from api.deliveries import Deliveries
from api.parts import Watched
from api.problems import Problem
from api.services import ProducerPool
from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import load

Messages = list[dict[str, Any]]


async def answered(
    middleware: BoundedBodies, chunks: list[bytes], headers: tuple[tuple[bytes, bytes], ...] = ()
) -> tuple[int, bytes]:
    """Status and body of the answer to a request whose body comes in these chunks."""
    sent: Messages = []
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.sleep(60)
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left) or chunk == b"wait"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/p", "headers": headers}
    await middleware(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def test_a_body_within_its_limit_arrives_whole() -> None:
    middleware = BoundedBodies(echo, {"/p": 10})
    assert asyncio.run(answered(middleware, [b"12345", b"67890"])) == (200, b"1234567890")


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        ([b"12345", b"678901"], ()),
        ([b""], ((b"content-length", b"11"),)),
        ([b""], ((b"content-length", b"9" * 300),)),
    ],
)
def test_a_body_above_its_limit_is_refused(chunks: list[bytes], headers: Any) -> None:
    status, body = asyncio.run(answered(BoundedBodies(echo, {"/p": 10}), chunks, headers))
    assert status == 413
    assert b"body_too_large" in body


def test_a_body_that_does_not_come_is_given_up() -> None:
    middleware = BoundedBodies(echo, {}, body_seconds=0.05)
    status, body = asyncio.run(answered(middleware, [b"wait"]))
    assert status == 408
    assert b"body_too_slow" in body


def test_bodies_together_are_bounded_and_their_memory_is_given_back() -> None:
    middleware = BoundedBodies(echo, {}, held_bytes_max=15)

    async def both() -> list[int]:
        found = await asyncio.gather(*(answered(middleware, [b"0123456789"]) for _ in range(2)))
        again = await answered(middleware, [b"0123456789"])
        return [*sorted(status for status, _ in found), again[0]]

    assert asyncio.run(both()) == [200, 503, 200]


def test_a_producer_is_one_request_s_alone(tmp_path: Path) -> None:
    settings = load({"CARBON_HOME": str(tmp_path)})
    pool = ProducerPool(settings, size=1, wait_seconds=0.05)
    with pool.one() as first:
        with pytest.raises(Problem) as caught, pool.one():
            pass
        assert (caught.value.status, caught.value.code) == (503, "busy")
        assert caught.value.headers["Retry-After"] == "1"
    with pool.one() as second:
        assert second is first
    pool.close()


def test_a_producer_that_failed_is_not_given_to_the_next(tmp_path: Path) -> None:
    pool = ProducerPool(load({"CARBON_HOME": str(tmp_path)}), size=1, wait_seconds=0.05)
    with pytest.raises(ZeroDivisionError), pool.one() as first:
        raise ZeroDivisionError
    with pool.one() as second:
        assert second is not first
    pool.close()


def test_few_answers_are_remembered_and_no_large_one() -> None:
    deliveries = Deliveries(maximum=2)
    for digest in "abc":
        deliveries.add("sap", digest, {"events": [digest], "refused": []})
    deliveries.add("sap", "large", {"events": ["x"] * 501, "refused": []})
    assert deliveries.find("sap", "a") is None
    assert deliveries.find("sap", "c") == {"events": ["c"], "refused": []}
    assert deliveries.find("oracle", "c") is None
    assert deliveries.find("sap", "large") is None


def test_a_part_that_is_asked_often_answers_from_a_moment_ago() -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise Unavailable("planted", "it does not answer")

    lately, at_once = (Watched(ask, fresh_seconds=seconds) for seconds in (60, -1))
    assert [lately.answers(), lately.answers()] == [True, True]
    assert [at_once.answers(), at_once.answers()] == [False, False]
    assert len(asked) == 3


def test_a_part_that_says_nothing_is_waited_for_a_moment_and_asked_once() -> None:
    asked: list[int] = []
    awake = threading.Event()

    def ask() -> None:
        asked.append(1)
        awake.wait(30)

    part = Watched(ask, wait_seconds=0.05)
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: part.answers(), range(8))) == [False] * 8
    assert time.monotonic() - begun < 5
    awake.set()
    patient = time.monotonic() + 10
    while not part.answers():
        assert time.monotonic() < patient
    assert len(asked) == 1
