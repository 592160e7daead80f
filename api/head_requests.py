"""HEAD wherever GET is (RFC 9110, section 9.3.2): the same answer without its content.

Belongs here: the middleware, and how a route knows that its content is not wanted. Does not: any
route.

The request goes on as a GET, so that it is let in, counted, limited and written down as one is. The
whole answer is made, for its Content-Length and its ETag; routes whose answer takes long ask
`is_head` and make its headers alone.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ASKED: Final = "carbon.asked_method"


def is_head(request: Request) -> bool:
    """Whether only the headers of the answer are wanted."""
    return asked_method(request) == "HEAD"


def asked_method(request: Request) -> str:
    """The method as the caller sent it."""
    found: str = request.scope.get(_ASKED, request.method)
    return found


class HeadRequests:
    """Answers HEAD as GET is, without content; the outermost of what stands before the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_over = False

        async def without_content(message: Message) -> None:
            nonlocal is_over
            if message["type"] != "http.response.body":
                await send(message)
            elif not is_over:
                is_over = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        asked = {**scope, "method": "GET", _ASKED: "HEAD"}
        await self._app(asked, receive, without_content)
