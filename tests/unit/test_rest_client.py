"""How a REST provider is treated: what is tried again and when, and what no answer may do to us."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.settings import PROJECT_ROOT
from pipeline.sources.rest_client import (
    Credentials,
    Patience,
    RateLimit,
    RestClient,
    back_off,
    decide,
    parse_json,
    retry_after_seconds,
)
from pipeline.sources.rest_plan import read_plan
from pipeline.sources.source_config import SourceConfig, read_source
from tests.support.carrier_server import Asked, Carrier, Reply, carrier

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DECISIONS: list[tuple[int, bool, str]] = [
    (200, True, "take"),
    (204, True, "take"),
    (301, True, "stop"),
    (400, True, "stop"),
    (401, True, "renew"),
    (401, False, "stop"),
    (403, True, "stop"),
    (404, True, "stop"),
    (408, True, "again"),
    (422, True, "stop"),
    (425, True, "again"),
    (429, True, "again"),
    (500, True, "again"),
    (502, True, "again"),
    (503, True, "again"),
    (504, True, "again"),
]


@pytest.mark.parametrize(("status", "is_renewable", "act"), DECISIONS)
def test_what_a_status_means(status: int, is_renewable: bool, act: str) -> None:
    assert decide(status, None, NOW, is_renewable=is_renewable).act == act


RETRY_AFTER: list[tuple[str | None, float | None]] = [
    (None, None),
    ("0", 0),
    (" 120 ", 120),
    ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
    ("Thursday, 01-Jan-26 12:01:00 GMT", 60),
    ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
    ("soon", None),
    ("-5", None),
    ("1e3", None),
    ("99999999999999", None),
    ("\u0661", None),
]


@pytest.mark.parametrize(("header", "seconds"), RETRY_AFTER)
def test_retry_after_in_seconds_and_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
    assert decide(429, header, NOW).wait == seconds


@given(st.integers(1, 60), st.integers(0, 2**32))
def test_back_off_grows_and_is_bounded_and_never_nothing(attempt: int, seed: int) -> None:
    patience = Patience(first_wait=0.5, longest_wait=20)
    wait = back_off(attempt, patience, random.Random(seed))
    whole = min(20.0, 0.5 * 2 ** (attempt - 1))
    assert whole / 2 <= wait <= whole


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.integers(1, 5))
def test_never_more_requests_in_an_interval_than_allowed(pauses: list[float], most: int) -> None:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    limit = RateLimit(requests=most, per_seconds=2.0, clock=lambda: clock[0], sleep=sleep)
    times = []
    for pause in pauses:
        clock[0] += pause
        limit.wait()
        times.append(clock[0])
    for earlier, later in zip(times, times[most:], strict=False):
        assert later - earlier >= 2.0 - 1e-9


@pytest.mark.parametrize("text", [b"{", b'{"a": 1', b"", b"<html>", b'{"a": NaN}', b"\xff"])
def test_what_is_no_whole_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_json(text)


def test_numbers_keep_their_digits_and_deep_answers_are_refused() -> None:
    assert parse_json(b'{"a": 253.50, "b": 7}') == {"a": Decimal("253.50"), "b": 7}
    with pytest.raises(ValueError, match=r".*"):
        parse_json(b"[" * 1_000_000)


# ---- against a server


@pytest.fixture
def server() -> Iterator[Carrier]:
    with carrier() as running:
        yield running


class Waits(list[float]):
    """A sleep that takes no time and remembers."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


QUICK: dict[str, Any] = {"attempts": 3, "read_timeout": 2.0, "answer_bytes_max": 10_000}


def client(server: Carrier, waits: Waits, auth: Credentials | None = None, **more: Any) -> Any:
    patience = Patience(**{**QUICK, **more})
    return RestClient(server.url, auth or Credentials(), patience, sleep=waits)


def test_a_rate_limit_a_broken_server_and_half_an_answer_are_waited_for(server: Carrier) -> None:
    server.script += [
        Reply(status=429, headers={"Retry-After": "7"}),
        Reply(status=503),
        Reply(content=b'{"shipments": [{"id"', cut=500),
        Reply(content=b'{"shipments": [{"id"'),
        Reply(content={"shipments": []}),
    ]
    waits = Waits()
    answer = client(server, waits, attempts=5).ask("GET", "/x", params={"a": "b c"})
    assert answer.content == {"shipments": []}
    assert len(server.asked) == 5
    assert server.asked[4].params == {"a": "b c"}
    assert waits[0] == 7
    assert all(0 < wait <= 8 for wait in waits[1:])


def test_a_server_that_stays_broken_is_given_up_with_its_last_word(server: Carrier) -> None:
    server.script += [Reply(status=500, content={"detail": "out of order"})] * 3
    with pytest.raises(Unavailable, match=r"3 tries.*500.*out of order"):
        client(server, Waits()).ask("GET", "/x")
    assert len(server.asked) == 3


def test_nobody_there_is_tried_again_too() -> None:
    waits = Waits()
    nobody = RestClient("http://127.0.0.1:1", Credentials(), Patience(attempts=2), sleep=waits)
    with pytest.raises(Unavailable, match="ConnectError"):
        nobody.ask("GET", "/x")
    assert len(waits) == 1


SLOW: list[tuple[float, dict[str, Any], str]] = [
    (1.0, {"read_timeout": 0.2}, "ReadTimeout"),
    (0.1, {"read_timeout": 5.0, "answer_timeout": 0.3}, "not whole after"),
]


@pytest.mark.parametrize(("drip", "patience", "told"), SLOW)
def test_a_server_that_says_nothing_or_a_byte_now_and_then_is_not_waited_for(
    server: Carrier, drip: float, patience: dict[str, Any], told: str
) -> None:
    server.script.append(Reply(content={"a": "long answer"}, drip=drip))
    with pytest.raises(Unavailable, match=told):
        client(server, Waits(), attempts=1, **patience).ask("GET", "/x")


def test_a_provider_that_wants_hours_is_left_alone(server: Carrier) -> None:
    server.script += [Reply(status=429, headers={"Retry-After": "86400"})]
    waits = Waits()
    with pytest.raises(Unavailable, match="left alone for 86400 s") as caught:
        client(server, waits).ask("GET", "/x")
    assert caught.value.code == "rest_retry_later"
    assert not waits


STOPS: list[tuple[Reply, str, str]] = [
    (Reply(status=400, content={"title": "bad number"}), "rest_refused", "bad number"),
    (Reply(status=401), "rest_refused", "check the secret"),
    (Reply(status=403), "rest_refused", "check its rights"),
    (Reply(status=404), "rest_refused", "check base_url"),
    (Reply(status=302, headers={"Location": "http://x/"}), "rest_redirected", "http://x/"),
    (Reply(content=b" " * 20_000), "rest_answer_too_large", "smaller pages"),
    (Reply(content=b"x", headers={"Content-Encoding": "gzip"}), "rest_compressed", "no bound"),
]


@pytest.mark.parametrize(("reply", "code", "told"), STOPS)
def test_what_trying_again_cannot_change_is_an_error_that_says_what_to_do(
    server: Carrier, reply: Reply, code: str, told: str
) -> None:
    server.script.append(reply)
    with pytest.raises(ConfigurationError, match=told) as caught:
        client(server, Waits()).ask("GET", "/x", params={"apikey": "hush"})
    assert caught.value.code == code
    assert "hush" not in caught.value.message
    assert len(server.asked) == 1


def test_a_status_that_means_nothing_found_is_an_answer(server: Carrier) -> None:
    assert client(server, Waits()).ask("GET", "/x", nothing_found=(404,)).content is None


def test_a_link_to_another_host_gets_no_credentials(server: Carrier) -> None:
    for link in ("https://elsewhere.example/x", server.url.replace("http", "https") + "/x"):
        with pytest.raises(ConfigurationError, match="credentials go to"):
            client(server, Waits()).ask("GET", link)
    assert server.asked == []


def token_route(server: Carrier, seconds: int = 3600) -> None:
    """Tokens t1, t2, …, and a path that takes only the last one."""
    given: list[str] = []

    def token(asked: Asked) -> Reply:
        if b"client_secret=hush" not in asked.body or b"grant_type=client_cred" not in asked.body:
            return Reply(status=400, content={"error": "invalid_client"})
        given.append(f"t{len(given) + 1}")
        return Reply(content={"access_token": given[-1], "expires_in": seconds})

    def guarded(asked: Asked) -> Reply:
        is_good = bool(given) and asked.headers.get("Authorization") == f"Bearer {given[-1]}"
        return Reply(content={"n": len(given)}) if is_good else Reply(status=401)

    server.routes |= {"/oauth/token": token, "/x": guarded}


def oauth(server: Carrier, **changes: Any) -> Credentials:
    plain = {"token_url": server.url + "/oauth/token", "client_id": "us", "secret": "hush"}
    return Credentials(kind="oauth2", **{**plain, **changes})


def test_a_token_is_kept_and_renewed_once_when_it_is_refused(server: Carrier) -> None:
    token_route(server)
    asking = client(server, Waits(), oauth(server))
    assert asking.ask("GET", "/x").content == {"n": 1}
    assert asking.ask("GET", "/x").content == {"n": 1}
    assert server.paths() == ["/oauth/token", "/x", "/x"]
    server.script.append(Reply(status=401))
    assert asking.ask("GET", "/x").content == {"n": 2}
    server.script += [Reply(status=401), Reply(status=401)]
    with pytest.raises(ConfigurationError, match="401"):
        asking.ask("GET", "/x")


def test_a_token_is_renewed_shortly_before_it_ends(server: Carrier) -> None:
    token_route(server, seconds=100)
    clock = [0.0]
    asking = RestClient(
        server.url, oauth(server), Patience(**QUICK), sleep=Waits(), clock=lambda: clock[0]
    )
    for moment, tokens in ((0, 1), (89, 1), (91, 2)):
        clock[0] = moment
        assert asking.ask("GET", "/x").content == {"n": tokens}


def test_a_client_that_is_not_accepted_is_told_and_its_secret_is_not(server: Carrier) -> None:
    token_route(server)
    with pytest.raises(ConfigurationError, match=r"invalid_client.*check client_id") as caught:
        client(server, Waits(), oauth(server, secret="wrong-secret")).ask("GET", "/x")
    assert "wrong-secret" not in caught.value.message
    assert "wrong-secret" not in repr(oauth(server, secret="wrong-secret"))


KEYS: list[tuple[Credentials, str, str]] = [
    (Credentials(kind="header", name="DHL-API-Key", secret="k"), "DHL-API-Key", "k"),
    (
        Credentials(kind="header", name="Authorization", secret="k", prefix="Bearer "),
        "Authorization",
        "Bearer k",
    ),
]


@pytest.mark.parametrize(("auth", "header", "value"), KEYS)
def test_a_key_goes_into_its_header(
    server: Carrier, auth: Credentials, header: str, value: str
) -> None:
    server.routes["/x"] = lambda asked: Reply(content=[asked.headers.get(header)])
    assert client(server, Waits(), auth).ask("GET", "/x").content == [value]


def test_a_key_goes_into_the_query(server: Carrier) -> None:
    server.routes["/x"] = lambda asked: Reply(content=[asked.params])
    auth = Credentials(kind="query", name="apikey", secret="k")
    answer = client(server, Waits(), auth).ask("GET", "/x", params={"a": "1"})
    assert answer.content == [{"a": "1", "apikey": "k"}]


# ---- the configuration file

PLAN = """
kind = "rest"
provider = "dhl_unified_tracking"
base_url = "https://api-eu.dhl.com/track"
subjects_file = "numbers.csv"
[auth]
kind = "header"
name = "DHL-API-Key"
key_env = "TEST_DHL_KEY"
[limits]
requests = 250
per_seconds = 86400
[values]
payer = "reporter"
"""
PLANS_REFUSED: list[tuple[str, str, str]] = [
    ("https://api-eu.dhl.com/track", "http://api-eu.dhl.com/track", "https://host"),
    ("https://api-eu.dhl.com/track", "https://me:pw@x", "https://host"),
    ("dhl_unified_tracking", "ups", "shipped are: dhl_unified_tracking"),
    ('subjects_file = "numbers.csv"', "", "tracking_number"),
    ('payer = "reporter"', "", "payer is missing"),
    ('payer = "reporter"', 'payer = "reporter"\nweather = "x"', "weather is not known here"),
    ('key_env = "TEST_DHL_KEY"', 'key = "k"', "must not be in the file"),
    ('key_env = "TEST_DHL_KEY"', "", "key is missing"),
    ("requests = 250", "requests = -1", "a whole number"),
    ("dhl_unified_tracking", "samsara_trips", "start is missing"),
]


def plan_file(folder: Path, text: str = PLAN, numbers: str = "tracking_number\nX1\nX2\n") -> Path:
    (folder / "numbers.csv").write_text(numbers, encoding="utf-8")
    path = folder / "dhl.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_configuration_says_what_it_would_do(tmp_path: Path) -> None:
    from pipeline.sources import rest

    config = read_source(plan_file(tmp_path), {"TEST_DHL_KEY": "hush"})
    assert rest.check(config) == (
        "asks https://api-eu.dhl.com/track as dhl_unified_tracking every 300 s, 2 subjects, "
        "to raw.logistics"
    )
    config.table.finish()
    plan = read_plan(read_source(plan_file(tmp_path), {"TEST_DHL_KEY": "hush"}))
    assert plan.subjects() == {"X1": {"tracking_number": "X1"}, "X2": {"tracking_number": "X2"}}
    assert (plan.patience.requests, plan.patience.per_seconds) == (250, 86400)
    assert "hush" not in repr(plan)


@pytest.mark.parametrize(("old", "new", "told"), PLANS_REFUSED)
def test_a_configuration_is_refused_by_the_key_at_fault(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    config = read_source(plan_file(tmp_path, PLAN.replace(old, new)), {"TEST_DHL_KEY": "k"})
    with pytest.raises(ConfigurationError, match=told):
        _read_whole(config)


def _read_whole(config: SourceConfig) -> None:
    read_plan(config)
    config.table.finish()


EXAMPLES = sorted((PROJECT_ROOT / "deploy" / "sources" / "rest").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_sound(path: Path) -> None:
    environ = dict.fromkeys(("DHL_API_KEY", "FEDEX_CLIENT_SECRET", "SAMSARA_TOKEN"), "k")
    _read_whole(read_source(path, environ))
    assert len(EXAMPLES) == 3


SUBJECTS_REFUSED = [
    ("number\nX\n", "no column tracking_number"),
    ("tracking_number\nX\nX\n", "line 3: tracking_number 'X' is there twice"),
    ("tracking_number,site\nX\n", "line 2 has not as many cells"),
    ('tracking_number\n\nX\n" "\n', "nothing usable"),
]


@pytest.mark.parametrize(("numbers", "told"), SUBJECTS_REFUSED)
def test_a_list_of_subjects_is_refused_by_its_line(tmp_path: Path, numbers: str, told: str) -> None:
    config = read_source(plan_file(tmp_path, numbers=numbers), {"TEST_DHL_KEY": "k"})
    with pytest.raises(ConfigurationError, match=told):
        read_plan(config)
