"""How the clients send: what is tried again and when, and what an answer is.

Belongs here: what both clients do alike. Does not: connections (api.client, api.async_client).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import httpx

from api.client_answers import ApiError, InvalidArgument, error_of
from api.client_asks import Ask
from api.client_key import checked_key, found_key, is_loopback, where_looked

# Twice and more what the server gives a statement (30 s), so that it is the server who says 504.
TIMEOUT_SECONDS: Final = 90.0
CONNECT_SECONDS: Final = 5.0
# An export's first piece comes when PostgreSQL has found its first entry.
EXPORT_SECONDS: Final = 900.0
TRIES: Final = 4
WAIT_SECONDS_MAX: Final = 30.0
RETRIED: Final = frozenset({429, 503})
# Nothing was sent, or the connection is gone. Not what took too long: it is still being worked on.
RETRIED_ERRORS: Final = (
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
)
AS_OF_HEADER: Final = "Carbon-As-Of"


class Unreachable(httpx.TransportError):
    """There was no answer. `code` is `unreachable`, or `no_answer_in_time` after `seconds`.

    What was submitted may have been taken, and may be submitted again.
    """

    def __init__(self, code: str, detail: str, *, url: str, seconds: float | None = None) -> None:
        super().__init__(detail)
        self.code, self.url, self.seconds = code, url, seconds


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a client comes to its API. `no_key` says where a key was looked for if there is none."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_seconds: float
    no_key: str

    @classmethod
    def to(cls, base_url: str, key: str | None, timeout_seconds: float) -> Self:
        """The way to an address with a key. No key: the one that is found; an empty one: none.

        Raises InvalidArgument for what is no address, or no key.
        """
        url = checked_url(base_url)
        used = found_key(url) if key is None else checked_key(key, "the argument `key`")
        no_key = where_looked(url) if key is None else "no key was sent: `key` is empty"
        return cls(
            base_url=url,
            headers={"Authorization": f"Bearer {used}"} if used else {},
            timeout_seconds=timeout_seconds,
            no_key="" if used else no_key,
        )

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of a client of httpx. This machine is never asked by way of a proxy."""
        return {
            "base_url": self.base_url,
            "headers": dict(self.headers),
            "timeout": timeout_of(self.timeout_seconds),
            "trust_env": not is_loopback(httpx.URL(self.base_url).host),
        }


def timeout_of(seconds: float) -> httpx.Timeout:
    """Seconds to wait for an answer; for a connection CONNECT_SECONDS at most."""
    return httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))


def checked_url(base_url: str) -> str:
    """An address that the API can have; InvalidArgument for any other."""
    try:
        url = httpx.URL(base_url)
        is_good = url.scheme in ("http", "https") and bool(url.host) and not url.userinfo
    except httpx.InvalidURL:
        is_good = False
    if not is_good:
        raise InvalidArgument(
            "base_url_invalid",
            "this is no address of the API",
            field="base_url",
            # Before an @ there may be a password.
            value=base_url.rpartition("@")[2],
            valid="http:// or https://, a host and maybe a port, no user: http://localhost:8000",
        )
    return base_url


def wait_seconds(answer: httpx.Response | None, number: int) -> float:
    """How long to wait after try `number`: as the answer asks, else longer each time."""
    asked = "" if answer is None else answer.headers.get("Retry-After", "")
    return min(WAIT_SECONDS_MAX, float(asked) if asked.isdigit() else 2.0**number)


def is_tried_again(answer: httpx.Response, number: int) -> bool:
    """Whether there is another try after this answer."""
    return answer.status_code in RETRIED and number < TRIES


class Tries:
    """The tries of one request: how long to wait before the next one, and what an answer says."""

    def __init__(self, way: Way, ask: Ask, seconds: float | None = None) -> None:
        self._way, self._ask = way, ask
        self._url = way.base_url.rstrip("/") + ask.path
        self._seconds = way.timeout_seconds if seconds is None else seconds
        self._number = 0

    def failed(self, error: httpx.TransportError) -> float:
        """Seconds to wait after a try without an answer; raises Unreachable if there is no other
        try.
        """
        self._number += 1
        if self._number == TRIES or not isinstance(error, RETRIED_ERRORS):
            raise self.lost(error) from error
        return wait_seconds(None, self._number)

    def lost(self, error: httpx.TransportError) -> Unreachable:
        """What is raised for a request without an answer."""
        if not isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            # Some have no text of their own.
            what = str(error) or type(error).__name__
            told = f"{self._url} cannot be reached: {what} (tries: {max(self._number, 1)})"
            return Unreachable("unreachable", told, url=self._url)
        remedy = (
            "ask for less, or give more timeout_seconds"
            if self._ask.method == "GET"
            else "it may have been taken, and may be sent again: nothing is ledgered twice"
        )
        return Unreachable(
            "no_answer_in_time",
            f"no answer of {self._url} in {self._seconds:g} s, and it was not sent again: {remedy}",
            url=self._url,
            seconds=self._seconds,
        )

    def answered(self, answer: httpx.Response) -> float | None:
        """Seconds to wait after an answer that asks for another try; None after any other."""
        self._number += 1
        again = is_tried_again(answer, self._number)
        return wait_seconds(answer, self._number) if again else None

    def refused(self, answer: httpx.Response) -> float:
        """The same, of an answer that is an error: raises it if there is no other try."""
        wait = self.answered(answer)
        if wait is None:
            raise self._error(answer)
        return wait

    def content(self, answer: httpx.Response) -> dict[str, Any]:
        """What an answer says; raises the ApiError of one that is an error, or not this API's."""
        if not answer.is_success:
            raise self._error(answer)
        found = _object(answer)
        if found is None:
            raise self._not_this_api(answer, f"that is no JSON object ({_kind(answer)})")
        missing = self._missing(found)
        if missing:
            raise self._not_this_api(answer, f"without {', '.join(missing)}")
        return found

    def state(self, answer: httpx.Response) -> dict[str, Any]:
        """What an answer says of the API's parts, also if one is missing."""
        found = _object(answer) if answer.status_code == 503 else None
        return self.content(answer) if found is None or self._missing(found) else found

    def check_export(self, answer: httpx.Response) -> None:
        """Raises ApiError `not_this_api` for what is no export."""
        if AS_OF_HEADER not in answer.headers:
            raise self._not_this_api(answer, f"without {AS_OF_HEADER}")

    def _missing(self, found: Mapping[str, Any]) -> list[str]:
        return [name for name in self._ask.names if name not in found]

    def _error(self, answer: httpx.Response) -> ApiError:
        if answer.has_redirect_location:
            return self._not_this_api(answer, "that sends elsewhere")
        problem = _object(answer)
        if problem is None:
            told = f"{self._url} tells no problem of this API's ({_kind(answer)})"
            return error_of(answer.status_code, {"detail": told})
        is_keyless = problem.get("code") == "unauthorized"
        return error_of(answer.status_code, problem, self._way.no_key if is_keyless else "")

    def _not_this_api(self, answer: httpx.Response, what: str) -> ApiError:
        told = f"{self._url} gives an answer {what}: something else than this API is there"
        return ApiError(answer.status_code, {"code": "not_this_api", "detail": told})


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _kind(answer: httpx.Response) -> str:
    kind: str = answer.headers.get("Content-Type", "no Content-Type")
    return kind


def request_of(ask: Ask) -> dict[str, Any]:
    """The arguments of a request of httpx."""
    return {
        "method": ask.method,
        "url": ask.path,
        "params": dict(ask.query) or None,
        "content": ask.body,
        "headers": dict(ask.headers),
    }


class Export:
    """A file that an export is written to: there once it is whole, and not before.

    Its owner alone may read it. Of several at once to one path the one that is whole last stays.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        descriptor, name = tempfile.mkstemp(".part", f".{self._path.name}.", self._path.parent)
        self._part = Path(name)
        self._stream = os.fdopen(descriptor, "wb")

    def write(self, piece: bytes) -> None:
        """Adds a piece."""
        self._stream.write(piece)

    def finish(self, headers: Mapping[str, str]) -> datetime:
        """Puts the whole file in its place; of which moment it is, as the answer's headers say."""
        as_of = datetime.fromisoformat(headers[AS_OF_HEADER])
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.replace(self._path)
        return as_of

    def drop(self) -> None:
        """Leaves nothing of what was begun."""
        self._stream.close()
        self._part.unlink(missing_ok=True)
