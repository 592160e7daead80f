"""What goes wrong between a client and its API, told so that it can be mended; both clients alike.

A server with real sockets gives the answers.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import (
    ApiError,
    AsyncCarbonLedgerClient,
    CarbonLedgerClient,
    InvalidArgument,
    NotAuthorized,
    Refused,
    Unreachable,
)
from api.client_sending import CONNECT_SECONDS, EXPORT_SECONDS, TIMEOUT_SECONDS, TRIES
from carbon_ledger.store.readers import STATEMENT_SECONDS
from tests.support.carrier_server import Asked, Carrier, Reply, carrier

KEY = "ck_aaaaaaaaaaaaaaaa_" + "b" * 52


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CARBON_API_KEY", "NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CARBON_HOME", str(tmp_path))


@pytest.fixture
def server() -> Iterator[Carrier]:
    with carrier() as running:
        yield running


@pytest.fixture
def closed() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@dataclass(kw_only=True)
class Use:
    """Calls methods of one kind of client, and keeps how long it waited between tries."""

    is_async: bool
    runner: asyncio.Runner
    waits: list[float] = field(default_factory=list)
    clients: dict[tuple[object, ...], Any] = field(default_factory=dict)

    def __call__(
        self,
        url: str,
        method: str,
        *arguments: Any,
        key: str | None = KEY,
        seconds: float = 10.0,
        **question: Any,
    ) -> Any:
        name = (url, key, seconds)
        if key is None or name not in self.clients:
            make = self._make_async if self.is_async else self._make
            self.clients[name] = make(url, key, seconds)
        found = getattr(self.clients[name], method)(*arguments, **question)
        if self.is_async:
            return self.runner.run(_awaited(found))
        return list(found) if isinstance(found, Iterator) else found

    def _make(self, url: str, key: str | None, seconds: float) -> CarbonLedgerClient:
        return CarbonLedgerClient(url, key, timeout_seconds=seconds, sleep=self.waits.append)

    def _make_async(self, url: str, key: str | None, seconds: float) -> AsyncCarbonLedgerClient:
        async def sleep(wait: float) -> None:
            self.waits.append(wait)

        return AsyncCarbonLedgerClient(url, key, timeout_seconds=seconds, sleep=sleep)

    def close(self) -> None:
        """Closes every client."""
        for client in self.clients.values():
            closed = client.close()
            if self.is_async:
                self.runner.run(closed)


async def _awaited(found: Any) -> Any:
    if isinstance(found, AsyncIterator):
        return [one async for one in found]
    return await found


@pytest.fixture(params=["sync", "async"])
def use(request: pytest.FixtureRequest) -> Iterator[Use]:
    with asyncio.Runner() as runner:
        made = Use(is_async=request.param == "async", runner=runner)
        yield made
        made.close()


def slow(_asked: Asked) -> Reply:
    """An answer that takes longer than is waited for."""
    time.sleep(0.9)
    return Reply(content={})


def test_the_server_gives_up_before_its_client() -> None:
    assert TIMEOUT_SECONDS >= 2 * STATEMENT_SECONDS
    assert CONNECT_SECONDS < STATEMENT_SECONDS
    assert EXPORT_SECONDS > 5 * TIMEOUT_SECONDS
    with CarbonLedgerClient("http://127.0.0.1:9") as client:
        given = client._http.timeout
    assert (given.read, given.connect) == (TIMEOUT_SECONDS, CONNECT_SECONDS)


def test_what_took_too_long_is_told_and_not_asked_again(server: Carrier, use: Use) -> None:
    server.routes["/v1/inventory"] = server.routes["/v1/supplier/declarations"] = slow
    with pytest.raises(Unreachable) as caught:
        use(server.url, "get_inventory", seconds=0.4)
    assert (caught.value.code, caught.value.seconds) == ("no_answer_in_time", 0.4)
    assert caught.value.url == f"{server.url}/v1/inventory"
    assert f"{server.url}/v1/inventory in 0.4 s" in str(caught.value)
    assert "ask for less" in str(caught.value)
    with pytest.raises(Unreachable, match="may be sent again: nothing is ledgered twice"):
        use(server.url, "submit_declaration", {}, seconds=0.4)
    assert server.paths() == ["/v1/inventory", "/v1/supplier/declarations"]
    assert use.waits == []


def test_an_export_has_a_time_of_its_own_and_is_not_begun_again(
    server: Carrier, use: Use, tmp_path: Path
) -> None:
    path = tmp_path / "all.csv"
    server.routes["/v1/entries/export"] = slow
    with pytest.raises(Unreachable, match=r"/v1/entries/export in 0\.4 s"):
        use(server.url, "export_entries", path, seconds=9.0, timeout_seconds=0.4)
    of = {"Carbon-As-Of": "2026-01-31T12:00:00+00:00"}
    server.routes["/v1/entries/export"] = lambda _: Reply(content=b"1", headers=of, drip=0.3)
    use(server.url, "export_entries", path, seconds=0.1)
    assert path.read_bytes() == b"1"
    assert len(server.asked) == 2


def test_an_address_where_nobody_listens_is_named(closed: str, use: Use) -> None:
    with pytest.raises(Unreachable, match=r"refused|attempts failed") as caught:
        use(closed, "get_inventory")
    assert f"{closed}/v1/inventory cannot be reached" in str(caught.value)
    assert f"(tries: {TRIES})" in str(caught.value)
    assert isinstance(caught.value, httpx.TransportError)
    assert len(use.waits) == TRIES - 1
    with pytest.raises(Unreachable, match=f"{closed}/v1/health cannot be reached"):
        use(closed, "health")


def test_this_machine_is_not_asked_by_way_of_a_proxy(
    server: Carrier, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes["/v1/factor-releases"] = lambda _: Reply(content={"releases": []})
    with carrier() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert use(server.url, "list_factor_releases") == []
        assert use(server.url.replace("127.0.0.1", "localhost"), "list_factor_releases") == []
        assert proxy.asked == []
        proxy.routes = server.routes
        assert use("http://ledger.invalid", "list_factor_releases") == []
        assert proxy.asked[0].headers["Host"] == "ledger.invalid"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "127.0.0.1:8000",
        "",
        "ftp://localhost",
        "http://",
        "//localhost",
        "http://[::1",
        "http://localhost:8000\n",
    ],
)
def test_what_is_no_address_is_refused_at_once(use: Use, url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        use(url, "get_inventory")
    assert (caught.value.code, caught.value.field) == ("base_url_invalid", "base_url")
    assert caught.value.value == url
    assert f"value {url!r}" in str(caught.value)
    assert "http://localhost:8000" in caught.value.valid


def test_a_password_in_an_address_is_refused_and_not_shown(use: Use) -> None:
    with pytest.raises(InvalidArgument) as caught:
        use("http://me:hunter2@localhost:8000", "get_inventory")
    assert "hunter2" not in repr(caught.value) + str(caught.value)


def test_a_key_with_a_line_end_is_sent_without_it(
    server: Carrier, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes["/v1/factor-releases"] = lambda _: Reply(content={"releases": []})
    use(server.url, "list_factor_releases", key=f"{KEY}\n")
    monkeypatch.setenv("CARBON_API_KEY", f" {KEY}\r\n")
    use(server.url, "list_factor_releases", key=None)
    assert [one.headers["Authorization"] for one in server.asked] == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize(
    "key", ["Bearer hunter2", "ck_hunter2\nck_hunter2", "hunter2", '"ck_hunter2"', "ck_hunter2é"]
)
def test_what_is_no_key_is_refused_and_not_shown(
    server: Carrier, use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    def refused(given: str | None) -> str:
        with pytest.raises(InvalidArgument) as caught:
            use(server.url, "get_inventory", key=given)
        assert caught.value.code == "key_malformed"
        assert "hunter2" not in repr(caught.value) + str(caught.value)
        return str(caught.value)

    assert "the argument `key`" in refused(key)
    monkeypatch.setenv("CARBON_API_KEY", key)
    assert "CARBON_API_KEY" in refused(None)
    if key.isascii():
        monkeypatch.delenv("CARBON_API_KEY")
        file = tmp_path / "keys" / "api-local.key"
        file.parent.mkdir()
        file.write_text(key, encoding="ascii")
        file.chmod(0o600)
        assert str(file) in refused(None)
    assert server.asked == []


def test_without_a_key_it_is_said_where_one_is_looked_for(
    server: Carrier, use: Use, tmp_path: Path
) -> None:
    problem = {"code": "unauthorized", "detail": "this takes a key"}
    server.routes["/v1/inventory"] = lambda _: Reply(status=401, content=problem)
    server.routes["/v1/webhooks/erp/sap"] = lambda _: Reply(
        status=401, content={"code": "signature_wrong"}
    )
    with pytest.raises(NotAuthorized) as caught:
        use(server.url, "get_inventory", key=None)
    for place in ("`key`", "CARBON_API_KEY", str(tmp_path / "keys" / "api-local.key")):
        assert place in str(caught.value)
    with pytest.raises(NotAuthorized, match="no key was sent: `key` is empty"):
        use(server.url, "get_inventory", key="")
    for method, arguments, secret in (
        ("get_inventory", (), {}),
        ("send_erp_document", ("sap", {}), {"secret": b"s"}),
    ):
        with pytest.raises(NotAuthorized) as caught:
            use(server.url, method, *arguments, key=KEY if not secret else None, **secret)
        assert caught.value.hint == ""


def test_an_error_says_what_is_to_be_mended(server: Carrier, use: Use) -> None:
    server.script.append(
        Reply(
            status=422,
            content={
                "code": "invalid_parameter",
                "detail": "too large",
                "field": "query.scope",
                "value": "4",
                "valid": "1, 2, 3",
            },
        )
    )
    with pytest.raises(Refused) as caught:
        use(server.url, "get_inventory", scope=4)
    assert str(caught.value) == (
        "422 invalid_parameter: too large (field query.scope; value '4'; valid: 1, 2, 3)"
    )
    missing = {"code": "scope_missing", "detail": "no", "valid": "a key with ledger:read"}
    server.script.append(Reply(status=403, content=missing))
    with pytest.raises(NotAuthorized, match=r"valid: a key with ledger:read"):
        use(server.url, "get_inventory")


FOREIGN = {
    "a page": Reply(content=b"<html>log in</html>", headers={"Content-Type": "text/html"}),
    "nothing": Reply(content=b""),
    "a list": Reply(content=[1]),
    "a text": Reply(content="ok"),
    "another object": Reply(content={"hello": 1}),
    "elsewhere": Reply(status=302, content=b"", headers={"Location": "http://login.invalid"}),
}
READ = {
    "get_inventory": "/v1/inventory",
    "entries": "/v1/entries",
    "changes": "/v1/changes",
    "list_factors": "/v1/factors",
    "list_factor_releases": "/v1/factor-releases",
    "health": "/v1/health",
    "ready": "/v1/ready",
    "export_entries": "/v1/entries/export",
}


@pytest.mark.parametrize("reply", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_this_api_is_told(
    server: Carrier, use: Use, tmp_path: Path, reply: Reply
) -> None:
    for method, path in READ.items():
        server.script.append(reply)
        arguments = (tmp_path / "all.csv",) if method == "export_entries" else ()
        with pytest.raises(ApiError) as caught:
            use(server.url, method, *arguments)
        assert (caught.value.code, caught.value.status) == ("not_this_api", reply.status)
        assert server.url + path in str(caught.value)
    assert server.paths() == list(READ.values())
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_no_problem_names_the_address(server: Carrier, use: Use) -> None:
    server.script.append(Reply(status=502, content=b"<html>bad gateway</html>"))
    with pytest.raises(ApiError, match=f"{server.url}/v1/inventory") as caught:
        use(server.url, "get_inventory")
    assert (caught.value.code, caught.value.status) == ("http_error", 502)


@pytest.mark.parametrize(
    ("method", "parts"), [("health", ("kafka", "database")), ("ready", ("reader", "gate", "kafka"))]
)
def test_the_state_is_told_also_when_a_part_is_missing(
    server: Carrier, use: Use, method: str, parts: tuple[str, ...]
) -> None:
    told = {"status": "unavailable", **dict.fromkeys(parts, "unavailable")}
    server.script.append(Reply(status=503, content=told))
    assert use(server.url, method) == told
    server.script.append(Reply(status=503, content={"code": "busy"}))
    with pytest.raises(ApiError, match="busy"):
        use(server.url, method)


NAMED = (
    "get_supplier_inventory",
    "get_facility_inventory",
    "get_entry",
    "get_factor",
    "trace_entry",
    "show_dead_letter",
)


def test_what_would_be_another_path_is_refused(server: Carrier, use: Use) -> None:
    for text, method in product(("", ".", ".."), NAMED):
        with pytest.raises(InvalidArgument, match="not_an_identifier") as caught:
            use(server.url, method, text)
        assert f"value {text!r}" in str(caught.value)
    assert server.asked == []
