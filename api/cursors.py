"""Cursors: where the next page begins, as a text that only this API can make and read.

Belongs here: making and reading one. Does not: what is on a page.

A cursor holds the hash of the question it is of, so that the pages of one question are of one
moment, and a cursor of one question is refused for another, of whatever length they are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any, Final

from api.problems import Problem
from api.tokens import tag_of
from carbon_ledger.settings import Settings

LENGTH_MAX: Final = 2_000
_TAG: Final = 32
_QUESTION: Final = "of"


def new_cursor(question: object, place: dict[str, Any], settings: Settings) -> str:
    """A cursor of a question (what JSON can say of it, or is told as text) and a place in its
    answer. Whatever two operations may both be asked, the question names the operation.
    """
    content = {**place, _QUESTION: _digest(question)}
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    tag = tag_of("cursor", text, settings)[:_TAG]
    return base64.urlsafe_b64encode(f"{tag}{text}".encode()).decode().rstrip("=")


def place_of(cursor: str, question: object, settings: Settings) -> dict[str, Any]:
    """The place that a cursor of this question holds; Problem 422 `cursor_unknown` for a text that
    is none of ours, and for a cursor of another question.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise unknown() from None
    if not hmac.compare_digest(text[:_TAG].encode(), _expected(text, settings)):
        raise unknown()
    found: dict[str, Any] = json.loads(text[_TAG:])
    if found.pop(_QUESTION, None) != _digest(question):
        raise unknown()
    return found


def _digest(question: object) -> str:
    text = json.dumps(question, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


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
