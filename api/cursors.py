"""Cursors: where the next page begins, as a text that only this API can make and read.

Belongs here: making and reading one. Does not: what is on a page.

A cursor holds the question it is of, so that the pages of one question are of one moment, and a
cursor of one question is refused for another.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Any, Final

from api.problems import Problem
from api.tokens import tag_of
from carbon_ledger.settings import Settings

LENGTH_MAX: Final = 2_000
_TAG: Final = 32


def new_cursor(content: dict[str, Any], settings: Settings) -> str:
    """A cursor with this content."""
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    tag = tag_of("cursor", text, settings)[:_TAG]
    return base64.urlsafe_b64encode(f"{tag}{text}".encode()).decode().rstrip("=")


def content_of(cursor: str, settings: Settings) -> dict[str, Any]:
    """What is in a cursor; Problem 422 `cursor_unknown` for a text that is none of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise unknown() from None
    if not hmac.compare_digest(text[:_TAG].encode(), _expected(text, settings)):
        raise unknown()
    found: dict[str, Any] = json.loads(text[_TAG:])
    return found


def _expected(text: str, settings: Settings) -> bytes:
    return tag_of("cursor", text[_TAG:], settings)[:_TAG].encode()


def unknown() -> Problem:
    """What is answered for a cursor that does not go with the request."""
    return Problem(
        422,
        "cursor_unknown",
        "this is no cursor of this question",
        field="cursor",
        valid="the next_cursor of an answer, with the parameters of its request",
    )
