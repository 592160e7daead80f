"""How the clients send: what is tried again and when, and what an answer is.

Belongs here: what both clients do alike. Does not: connections (api.client, api.async_client).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from api.client_answers import ApiError, error_of
from api.client_key import found_key

TIMEOUT_SECONDS: Final = 30.0
TRIES: Final = 4
WAIT_SECONDS_MAX: Final = 30.0
RETRIED: Final = frozenset({429, 503})
PAGE: Final = 1_000
CHANGES: Final = 1_000


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
    try:
        content = answer.json() if answer.content else {}
    except ValueError:
        content = {}
    found: dict[str, Any] = content if isinstance(content, dict) else {}
    if answer.is_success:
        return found
    raise error_of(answer.status_code, found)


def exhausted() -> ApiError:
    """What is raised when there is neither an answer nor an error, which cannot be."""
    return error_of(503, {"code": "busy"})


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

    def finish(self) -> None:
        """Puts the whole file in its place."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.replace(self._path)

    def drop(self) -> None:
        """Leaves nothing of what was begun."""
        self._stream.close()
        self._part.unlink(missing_ok=True)


def as_of_of(headers: Mapping[str, str]) -> str:
    """The moment that an export is of."""
    return headers["Carbon-As-Of"]
