"""What the clients ask for page by page: which page is next, and what is on one.

Belongs here: the way from a page to the next, alike for both clients. Does not: asking
(api.client, api.async_client), what a page's request is (api.client_asks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from api import client_asks as asks
from api.client_answers import Change
from api.client_asks import Ask, EntryQuestion

T = TypeVar("T")
Page = dict[str, Any]
PAGE: Final = 1_000
CHANGES: Final = 1_000


class Pages(Generic[T]):
    """Pages, one after the other: `ask` is for the next one, and None after the last."""

    def __init__(self, first: Ask, read: Callable[[Page], tuple[list[T], Ask | None]]) -> None:
        self.ask: Ask | None = first
        self._read = read

    def take(self, page: Page) -> list[T]:
        """What is on the page that was asked for."""
        found, self.ask = self._read(page)
        return found


def entries(question: EntryQuestion) -> Pages[dict[str, Any]]:
    """Every entry."""
    return _by_cursor("entries", lambda cursor: asks.entries(question, PAGE, cursor))


def factors(question: Mapping[str, Any]) -> Pages[dict[str, Any]]:
    """Every factor."""
    return _by_cursor("factors", lambda cursor: asks.factors(question, PAGE, cursor))


def changes(after: int) -> Pages[Change]:
    """Every entry that was sealed after a number."""

    def read(page: Page) -> tuple[list[Change], Ask | None]:
        found = [Change(seq=one["seq"], entry=one["entry"]) for one in page["changes"]]
        is_last = page["next_after"] >= page["sealed"]
        return found, None if is_last else asks.changes(page["next_after"], CHANGES)

    return Pages(asks.changes(after, CHANGES), read)


def _by_cursor(name: str, ask: Callable[[str | None], Ask]) -> Pages[dict[str, Any]]:
    def read(page: Page) -> tuple[list[dict[str, Any]], Ask | None]:
        cursor = page["next_cursor"]
        return page[name], None if cursor is None else ask(cursor)

    return Pages(ask(None), read)
