"""Request bodies: how large, how slow, how many at once, and reading JSON exactly.

Belongs here: the middleware that reads a body before anything else sees it, JSON whose numbers stay
as they were written. Does not: what a body means (api.routes).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem
from carbon_ledger.errors import RejectedRecord

BODY_BYTES_MAX: Final = 1024 * 1024
# What bodies of requests under way may take together, whoever sends them.
HELD_BYTES_MAX: Final = 64 * 1024 * 1024
BODY_SECONDS: Final = 20.0
# Far more than any document has, and far below what Python's own parser can follow.
DEPTH_MAX: Final = 60
DIGITS_MAX: Final = 400


class BoundedBodies:
    """Reads each request's body, within bounds, and then hands the request on.

    413 for a body above its route's limit, 408 for one that does not arrive in time, 503 while the
    bodies under way take all the memory there is for them. `limits` has, by path, routes that take
    more than BODY_BYTES_MAX.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Mapping[str, int],
        *,
        held_bytes_max: int = HELD_BYTES_MAX,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._limits = dict(limits)
        self._held_bytes_max = held_bytes_max
        self._body_seconds = body_seconds
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        problem: Problem | None = None
        is_whole = False
        try:
            try:
                limit = self._limits.get(scope["path"], BODY_BYTES_MAX)
                _check_announced(scope, limit)
                async with asyncio.timeout(self._body_seconds):
                    is_whole = await self._read(receive, body, limit)
            except TimeoutError:
                problem = _too_slow(self._body_seconds)
            except Problem as found:
                problem = found
            if problem is not None:
                await problem.response()(scope, receive, send)
            elif is_whole:
                await self._app(scope, _replay(bytes(body), receive), send)
        finally:
            self._held -= len(body)

    async def _read(self, receive: Receive, body: bytearray, limit: int) -> bool:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return False
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > limit:
                raise _too_large(limit)
            if self._held + len(chunk) > self._held_bytes_max:
                raise Problem(
                    503,
                    "busy",
                    "as many requests are under way as can be held",
                    headers={"Retry-After": "1", "Connection": "close"},
                )
            self._held += len(chunk)
            body += chunk
            if not message.get("more_body", False):
                return True


def _check_announced(scope: Scope, limit: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limit:
            raise _too_large(limit)


def _too_large(limit: int) -> Problem:
    return Problem(
        413,
        "body_too_large",
        "the request's body is too large",
        field="body",
        valid=f"at most {limit} bytes",
        headers={"Connection": "close"},
    )


def _too_slow(seconds: float) -> Problem:
    return Problem(
        408,
        "body_too_slow",
        f"the request's body did not arrive within {seconds:g} s",
        headers={"Connection": "close"},
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given


async def raw_body(request: Request) -> bytes:
    """A dependency: the body's bytes as they came."""
    return await request.body()


class _ExactRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


class ExactRoute(APIRoute):
    """A route whose body of JSON is read by `read_json`, as the bodies that are taken as bytes are:
    its numbers pass through no binary floating point, and what is ambiguous is refused.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which gets such requests."""
        handler = super().get_route_handler()

        async def exact(request: Request) -> Response:
            try:
                return await handler(_ExactRequest(request.scope, request.receive))
            except HTTPException as error:
                # What the body was refused for, which FastAPI makes a 400 without a reason of.
                if isinstance(error.__cause__, RejectedRecord):
                    raise error.__cause__ from None
                raise

        return exact


def read_json(body: bytes) -> Any:
    """The JSON of a body. Numbers with a point or an exponent are Decimal, never floats.

    Raises RejectedRecord `not_json` (NaN and Infinity are none), `nul_byte`, `not_text` (half of a
    surrogate pair), `name_twice`, `too_deep`, `out_of_range` for a number of too many digits.
    """
    try:
        found = json.loads(
            body.decode("utf-8"),
            parse_float=_number,
            parse_int=_whole,
            parse_constant=_no_constant,
            object_pairs_hook=_unambiguous,
        )
    except UnicodeDecodeError:
        raise RejectedRecord("not_utf8", "the body is no UTF-8", valid="UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise RejectedRecord(
            "not_json", "the body is no JSON", value=str(error), valid="a JSON document"
        ) from None
    _check_texts(found)
    return found


def _number(text: str) -> Decimal:
    if len(text) > DIGITS_MAX:
        raise _too_long(text)
    return Decimal(text)


def _whole(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise _too_long(text)
    return int(text)


def _too_long(text: str) -> RejectedRecord:
    return RejectedRecord(
        "out_of_range",
        "a number has too many digits",
        value=text[:60],
        valid=f"at most {DIGITS_MAX} characters",
    )


def _no_constant(text: str) -> None:
    raise RejectedRecord("not_json", f"{text} is no JSON", value=text, valid="a number, or null")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RejectedRecord(
                "name_twice",
                "an object has the same name twice: which is meant, nobody can know",
                field=name[:60],
                valid="each name once",
            )
        found[name] = value
    return found


def _check_texts(document: object) -> None:
    waiting: list[tuple[object, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise RejectedRecord(
                "too_deep", "the document is nested too deep", valid=f"{DEPTH_MAX} levels"
            )
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, dict):
            for name, one in value.items():
                _check_text(name)
                waiting.append((one, depth + 1))
        elif isinstance(value, list):
            waiting.extend((one, depth + 1) for one in value)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise RejectedRecord(
            "nul_byte", "a text holds a NUL character", value=text[:60], valid="text without it"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RejectedRecord(
            "not_text", "a text holds half of a surrogate pair", valid="whole characters"
        ) from None
