"""How the clients send: what is tried again and when, and what an answer is.

Belongs here: what both clients do alike. Does not: connections (api.client, api.async_client).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from api.client_answers import error_of
from api.client_asks import Ask
from api.client_key import found_key

TIMEOUT_SECONDS: Final = 30.0
TRIES: Final = 4
WAIT_SECONDS_MAX: Final = 30.0
RETRIED: Final = frozenset({429, 503})


def headers_of(base_url: str, key: str | None) -> dict[str, str]:
    """The headers of every request. No key: the one that is found; an empty one: none."""
    used = found_key(base_url) if key is None else key
    return {"Authorization": f"Bearer {used}"} if used else {}


def wait_seconds(answer: httpx.Response | None, number: int) -> float:
    """How long to wait after try `number`: as the answer asks, else longer each time."""
    asked = "" if answer is None else answer.headers.get("Retry-After", "")
    return min(WAIT_SECONDS_MAX, float(asked) if asked.isdigit() else 2.0**number)


def is_tried_again(answer: httpx.Response, number: int) -> bool:
    """Whether there is another try after this answer."""
    return answer.status_code in RETRIED and number < TRIES


def content_of(answer: httpx.Response) -> dict[str, Any]:
    """What an answer says; raises the ApiError of one that is an error."""
    found = _content(answer)
    if answer.is_success:
        return found
    raise error_of(answer.status_code, found)


def _content(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json() if answer.content else {}
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


class Tries:
    """The tries of one request: how long to wait before the next one, or that there is none."""

    def __init__(self) -> None:
        self._number = 0

    def failed(self, error: httpx.TransportError) -> float:
        """Seconds to wait after a try without an answer; raises the error after the last."""
        self._number += 1
        if self._number == TRIES:
            raise error
        return wait_seconds(None, self._number)

    def answered(self, answer: httpx.Response) -> float | None:
        """Seconds to wait after an answer that asks for another try; None after any other."""
        self._number += 1
        again = is_tried_again(answer, self._number)
        return wait_seconds(answer, self._number) if again else None

    def refused(self, answer: httpx.Response) -> float:
        """The same, of an answer that is an error: raises it if there is no other try."""
        wait = self.answered(answer)
        if wait is None:
            raise error_of(answer.status_code, _content(answer))
        return wait


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
        as_of = datetime.fromisoformat(headers["Carbon-As-Of"])
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.replace(self._path)
        return as_of

    def drop(self) -> None:
        """Leaves nothing of what was begun."""
        self._stream.close()
        self._part.unlink(missing_ok=True)
