"""What is sent again, and files of exports: whole or not there, also where two are written."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from api.client_answers import Busy, NotFound
from api.client_asks import get
from api.client_pages import changes, entries
from api.client_sending import TRIES, Export, Tries, Unreachable, Way, is_tried_again
from api.problems import problem_of
from carbon_ledger.errors import Unavailable

WAY = Way.to("http://127.0.0.1:9/", "", 90.0)
OF = {"Carbon-As-Of": "2026-01-31T12:00:00+00:00"}


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
    first.finish(OF)
    assert path.read_bytes() == b"12"
    second.finish(OF)
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


def test_a_request_has_so_many_tries_and_ends_with_its_last_answer_or_error() -> None:
    busy = httpx.Response(503, json={"code": "busy"}, headers={"Retry-After": "7"})
    tries = tried()
    assert [tries.refused(busy) for _ in range(TRIES - 1)] == [7.0] * (TRIES - 1)
    with pytest.raises(Busy):
        tries.refused(busy)
    tries = tried()
    lost = httpx.ConnectError("gone")
    assert [tries.failed(lost) for _ in range(TRIES - 1)] == [2.0, 4.0, 8.0]
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:9/v1/x cannot be reached: gone"):
        tries.failed(lost)
    with pytest.raises(NotFound):
        tried().refused(httpx.Response(404, json={"code": "not_found"}))
    assert tried().answered(httpx.Response(200)) is None


@pytest.mark.parametrize(
    ("error", "is_again"),
    [
        (httpx.ConnectTimeout, True),
        (httpx.PoolTimeout, True),
        (httpx.ConnectError, True),
        (httpx.ReadError, True),
        (httpx.RemoteProtocolError, True),
        (httpx.ReadTimeout, False),
        (httpx.WriteTimeout, False),
        (httpx.UnsupportedProtocol, False),
        (httpx.LocalProtocolError, False),
        (httpx.ProxyError, False),
    ],
)
def test_only_what_did_not_arrive_is_sent_again(
    error: type[httpx.TransportError], is_again: bool
) -> None:
    if is_again:
        assert tried().failed(error("")) == 2.0
    else:
        with pytest.raises(Unreachable):
            tried().failed(error(""))


def tried() -> Tries:
    """A request's tries, before the first."""
    return Tries(WAY, get("/v1/x"))


def test_pages_lead_from_one_to_the_next_until_there_is_none() -> None:
    found = entries({"scope": 2})
    assert found.ask is not None
    assert found.ask.query == {"scope": 2, "limit": 1_000}
    assert found.take({"entries": [{"a": "1"}], "next_cursor": "c"}) == [{"a": "1"}]
    assert found.ask is not None
    assert found.ask.query["cursor"] == "c"
    assert found.take({"entries": [], "next_cursor": None}) == []
    assert found.ask is None
    changed = changes(5)
    page = {"changes": [{"seq": 7, "entry": {}}], "next_after": 8, "sealed": 9}
    assert [one.seq for one in changed.take(page)] == [7]
    assert changed.ask is not None
    assert changed.ask.query["after"] == 8
    changed.take({"changes": [], "next_after": 9, "sealed": 9})
    assert changed.ask is None
