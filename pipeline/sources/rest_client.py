"""One polite conversation with a REST provider: who we are, how often, how long, what again.

Belongs here: credentials, our own rate limit, time-outs, the size of an answer, what is tried again
and when. Does not: what is asked and what the answers mean (rest_mapping, rest_items).

What a status means is decided by `decide`, which has no clock and no socket. Redirects are not
followed: credentials go to the host that was configured and to no other.
"""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx

from carbon_ledger.errors import ConfigurationError, Unavailable

UNAUTHORISED: Final = 401
# Statuses that a second try may change, beside all from 500 on (RFC 9110; RFC 6585, 429).
RETRIED: Final = frozenset({408, 425, 429})
EXCERPT: Final = 300
CHUNK_BYTES: Final = 64 * 1024
# A token is renewed this long before it ends, or in the last tenth of a short life.
TOKEN_MARGIN_SECONDS: Final = 60.0
TOKEN_SECONDS_DEFAULT: Final = 300.0
AGENT: Final = "carbon-ledger-rest/1"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long is waited and how often it is tried; every wait and every loop has an end.

    Seconds. `requests` in `per_seconds` is the rate we keep by ourselves; None keeps none.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    # A provider that asks for more is left alone until the next poll.
    longest_retry_after: float = 900.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    # The whole answer: a server that sends a byte now and then is no server.
    answer_timeout: float = 120.0
    answer_bytes_max: int = 16 * 1024 * 1024
    requests: int | None = None
    per_seconds: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who we are: no credentials, a key in a header or the query, or an OAuth2 client."""

    kind: Literal["none", "header", "query", "oauth2"] = "none"
    name: str = ""
    secret: str = field(default="", repr=False)
    prefix: str = ""
    token_url: str = ""
    client_id: str = ""
    scope: str = ""
    is_basic: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is done about an answer: taken, tried again after `wait` seconds (None: by back-off), a
    new token first, or given up.
    """

    act: Literal["take", "again", "renew", "stop"]
    wait: float | None = None


def decide(
    status: int, retry_after: str | None, now: datetime, *, is_renewable: bool = False
) -> Decision:
    """What a status means. 2xx is taken; 408, 425, 429 and 5xx are tried again, after what
    `Retry-After` says where it says so; 401 renews a token once; everything else is given up.
    """
    if 200 <= status < 300:
        return Decision(act="take")
    if status == UNAUTHORISED and is_renewable:
        return Decision(act="renew")
    if status in RETRIED or status >= 500:
        return Decision(act="again", wait=retry_after_seconds(retry_after, now))
    return Decision(act="stop")


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header, which has seconds or an HTTP date (RFC 9110,
    10.2.3); None where there is none, or none that is understood.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def back_off(attempt: int, patience: Patience, chance: random.Random) -> float:
    """Seconds before try number `attempt` + 1: exponential, bounded, with full jitter in its upper
    half, so that many pollers do not come back at once.
    """
    bound = min(patience.longest_wait, patience.first_wait * 2.0 ** (attempt - 1))
    return bound / 2 + chance.random() * bound / 2


@dataclass(kw_only=True)
class RateLimit:
    """At most `requests` in any `per_seconds`: the caller waits until the oldest is that old."""

    requests: int
    per_seconds: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _times: deque[float] = field(default_factory=deque, repr=False)

    def wait(self) -> None:
        """Returns when a request may go, which then counts."""
        if len(self._times) >= self.requests:
            ahead = self._times.popleft() + self.per_seconds - self.clock()
            if ahead > 0:
                self.sleep(ahead)
        self._times.append(self.clock())


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A JSON answer: where from, its status, what it says, the bytes it came in."""

    url: str
    status: int
    content: Any
    body: bytes


class _Garbled(Exception):
    """An answer that did not arrive whole, or is no JSON."""


class RestClient:
    """Asks one provider. Not for several threads.

    `sleep`, `clock`, `now` and `chance` are arguments so that tests need not wait.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        patience: Patience,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: random.Random | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._credentials, self._patience = credentials, patience
        self._sleep, self._clock, self._now = sleep, clock, now
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._limit = (
            None
            if patience.requests is None
            else RateLimit(
                requests=patience.requests,
                per_seconds=patience.per_seconds,
                clock=clock,
                sleep=sleep,
            )
        )
        self._token: str | None = None
        self._token_until = 0.0
        self.requests = 0
        self.retries = 0
        self._client = httpx.Client(
            timeout=httpx.Timeout(patience.read_timeout, connect=patience.connect_timeout),
            follow_redirects=False,
            headers={
                "Accept": "application/json",
                # A compressed answer has no size one could bound beforehand.
                "Accept-Encoding": "identity",
                "User-Agent": AGENT,
            },
        )

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def ask(
        self,
        method: str,
        path_or_url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        nothing_found: tuple[int, ...] = (),
    ) -> Answer:
        """The JSON answer; numbers are Decimals, as they are written.

        A status of `nothing_found` is an answer too, without content. Raises Unavailable
        `rest_unavailable` when every try failed, and ConfigurationError `rest_refused`,
        `rest_redirected`, `rest_answer_too_large`, `rest_foreign_link`: what trying again cannot
        change.
        """
        url = self._own_url(path_or_url)
        is_renewed = False
        problem = ""
        attempt = 0
        while attempt < self._patience.attempts:
            attempt += 1
            wait: float | None = None
            try:
                response, content = self._once(method, url, params, body, headers)
            except (httpx.TransportError, _Garbled) as error:
                problem = f"{type(error).__name__.lstrip('_')}: {error}"
            else:
                status = response.status_code
                if status in nothing_found or status == 204:
                    return Answer(url=str(response.url), status=status, content=None, body=b"")
                renewable = self._credentials.kind == "oauth2" and not is_renewed
                decision = decide(
                    status,
                    response.headers.get("Retry-After"),
                    self._now(),
                    is_renewable=renewable,
                )
                if decision.act == "take":
                    try:
                        parsed = parse_json(content)
                    except ValueError as error:
                        problem = f"the answer is no whole JSON ({error})"
                    else:
                        return Answer(
                            url=str(response.url), status=status, content=parsed, body=content
                        )
                elif decision.act == "renew":
                    # It costs no try: the token ended, nothing failed.
                    self._token, is_renewed, attempt = None, True, attempt - 1
                    continue
                elif decision.act == "stop":
                    raise self._refused(response, content)
                else:
                    problem, wait = f"status {status} {_excerpt(content)}", decision.wait
            if attempt < self._patience.attempts:
                self._wait(attempt, wait, url, problem)
        raise Unavailable(
            "rest_unavailable",
            f"{_shown(url)} did not answer in {attempt} tries; the last: {problem}",
        )

    def _wait(self, attempt: int, asked: float | None, url: str, problem: str) -> None:
        if asked is not None and asked > self._patience.longest_retry_after:
            raise Unavailable(
                "rest_retry_later",
                f"{_shown(url)} asks to be left alone for {asked:.0f} s ({problem})",
            )
        self.retries += 1
        self._sleep(back_off(attempt, self._patience, self._chance) if asked is None else asked)

    def _own_url(self, path_or_url: str) -> str:
        """The address, which has to be on the provider's own host."""
        if path_or_url.startswith("/"):
            return self.base_url + path_or_url
        ours, theirs = urlsplit(self.base_url), urlsplit(path_or_url)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise ConfigurationError(
                "rest_foreign_link",
                f"the answer links to {theirs.scheme}://{theirs.netloc}, and credentials go to "
                f"{ours.scheme}://{ours.netloc} only; if the provider moved, change base_url",
            )
        return path_or_url

    def _once(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> tuple[httpx.Response, bytes]:
        known, extra = dict(params or {}), dict(headers or {})
        credentials = self._credentials
        if credentials.kind == "header":
            extra[credentials.name] = f"{credentials.prefix}{credentials.secret}"
        elif credentials.kind == "query":
            known[credentials.name] = credentials.secret
        elif credentials.kind == "oauth2":
            extra["Authorization"] = f"Bearer {self._current_token()}"
        if self._limit is not None:
            self._limit.wait()
        self.requests += 1
        full = httpx.URL(url).copy_merge_params(known) if known else httpx.URL(url)
        return self._read(
            method, full, headers=extra, json=body if method == "POST" else None, data=None
        )

    def _read(
        self, method: str, url: httpx.URL, *, headers: Mapping[str, str], json: Any, data: Any
    ) -> tuple[httpx.Response, bytes]:
        """The answer, read piece by piece up to a size and a time."""
        limit, deadline = self._patience.answer_bytes_max, self._patience.answer_timeout
        begun = self._clock()
        pieces: list[bytes] = []
        size = 0
        with self._client.stream(method, url, headers=headers, json=json, data=data) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ConfigurationError(
                    "rest_compressed",
                    f"{_shown(str(url))} compresses although asked not to; its size has no bound",
                )
            for piece in response.iter_raw(CHUNK_BYTES):
                size += len(piece)
                if size > limit:
                    raise ConfigurationError(
                        "rest_answer_too_large",
                        f"{_shown(str(url))} answers with more than {limit} bytes; ask for smaller "
                        "pages (paging.size), or raise answer_bytes_max in the source's file",
                    )
                if self._clock() - begun > deadline:
                    raise _Garbled(f"not whole after {deadline:.0f} s")
                pieces.append(piece)
        return response, b"".join(pieces)

    def _refused(self, response: httpx.Response, content: bytes) -> ConfigurationError:
        where, status = _shown(str(response.url)), response.status_code
        if 300 <= status < 400:
            return ConfigurationError(
                "rest_redirected",
                f"{where} redirects ({status}) to {response.headers.get('Location', 'nowhere')!r}; "
                "redirects are not followed: put the address into base_url",
            )
        hints = {
            401: "the key or client is not accepted: check the secret",
            403: "the key may not do this: check its rights with the provider",
            404: "nothing is there: check base_url and request.path",
        }
        hint = hints.get(status, "check the request in the mapping against the provider's manual")
        return ConfigurationError(
            "rest_refused", f"{where} answers {status} {_excerpt(content)}; {hint}"
        )

    def _current_token(self) -> str:
        """The OAuth2 token (RFC 6749, 4.4), asked for anew shortly before it ends."""
        if self._token is not None and self._clock() < self._token_until:
            return self._token
        credentials = self._credentials
        form = {"grant_type": "client_credentials"}
        if credentials.scope:
            form["scope"] = credentials.scope
        headers: dict[str, str] = {}
        if credentials.is_basic:
            auth = httpx.BasicAuth(credentials.client_id, credentials.secret)
            probe = httpx.Request("POST", credentials.token_url)
            headers = {"Authorization": next(auth.auth_flow(probe)).headers["Authorization"]}
        else:
            form |= {"client_id": credentials.client_id, "client_secret": credentials.secret}
        url = httpx.URL(credentials.token_url)
        response, content = self._read("POST", url, headers=headers, json=None, data=form)
        if response.status_code in RETRIED or response.status_code >= 500:
            raise _Garbled(f"the token's server answers {response.status_code}")
        if response.status_code != 200:
            raise ConfigurationError(
                "rest_token_refused",
                f"{_shown(credentials.token_url)} gives no token: {response.status_code} "
                f"{_excerpt(content)}; check client_id and the client's secret",
            )
        try:
            told = parse_json(content)
            token, seconds = str(told["access_token"]), told.get("expires_in")
            lasts = TOKEN_SECONDS_DEFAULT if seconds is None else float(seconds)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Garbled(f"the token's answer cannot be read ({error})") from None
        self._token = token
        self._token_until = self._clock() + lasts - min(TOKEN_MARGIN_SECONDS, lasts / 10)
        return token


def parse_json(content: bytes) -> Any:
    """A JSON document; fractions as Decimal in their own digits. Raises ValueError."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _excerpt(content: bytes) -> str:
    text = " ".join(content[: 4 * EXCERPT].decode(errors="replace").split())
    return text[:EXCERPT]


def _shown(url: str) -> str:
    """An address without its query, which may hold a key."""
    return url.split("?")[0]
