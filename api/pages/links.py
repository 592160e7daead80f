"""Addresses of the reviewers' pages, each made in one place.

Belongs here: making them, and reading what names a report. Does not: what is on a page.

A report is named by the id it is kept under, or, made from the entries as known at a moment, by
what it is made of: `esrs_e1.2025.2026-03-01T12:00:00.000000Z`. Either name is of the same figures
for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

HOME: Final = "/review"
LOGIN: Final = f"{HOME}/login"
LOGOUT: Final = f"{HOME}/logout"
SIGN_OFFS: Final = f"{HOME}/sign-offs"
PAGE_LENGTH_MAX: Final = 2_000
_MADE = re.compile(r"(esrs_e1|cdp)\.(2\d{3})\.(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A report that is made when it is asked for: which, of which year, as known when."""

    report: str
    fiscal_year: int
    as_of: datetime

    def __str__(self) -> str:
        moment = self.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        return f"{self.report}.{self.fiscal_year}.{moment}Z"


def named_report(text: str) -> UUID | Made | None:
    """The report of a name; None for a text that is none."""
    if _UUID.fullmatch(text):
        return UUID(text)
    found = _MADE.fullmatch(text)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[3]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Made(report=found[1], fiscal_year=int(found[2]), as_of=moment)


def is_page(text: str) -> bool:
    """Whether an address is one of these pages, and of this server."""
    parts = urlsplit(text)
    return (
        len(text) <= PAGE_LENGTH_MAX
        and text.isascii()
        and text.isprintable()
        and not (parts.scheme or parts.netloc)
        and "\\" not in text
        and (parts.path == HOME or parts.path.startswith(f"{HOME}/"))
        and not parts.path.startswith((LOGIN, LOGOUT))
    )


def report_page(ref: object) -> str:
    """A report, table by table."""
    return f"{HOME}/reports/{_path(ref)}"


def report_document(ref: object) -> str:
    """A report as the document that is given out."""
    return f"{report_page(ref)}/document"


def cells_at(ref: object, home: str = HOME) -> str:
    """What a cell's id is put behind for its page: an address of lineage for documents. `home` is
    where the pages are, for a document that is read elsewhere.
    """
    return f"{home.rstrip('/')}{report_page(ref).removeprefix(HOME)}/cells/"


def cell_page(ref: object, cell_id: str, **query: object) -> str:
    """A cell of a report."""
    return cells_at(ref) + quote(cell_id, safe="/-._~:") + _query(query)


def sample_page(ref: object, **query: object) -> str:
    """A sample of a report's entries, or with `cell` of a cell's."""
    return f"{report_page(ref)}/sample{_query(query)}"


def entry_page(entry_id: object, **query: object) -> str:
    """An entry."""
    return f"{HOME}/entries/{_path(entry_id)}{_query(query)}"


def record_page(topic: object, incarnation: object, partition: object, offset: object) -> str:
    """A record, and what became of it."""
    place = "/".join(map(_path, (topic, incarnation, partition, offset)))
    return f"{HOME}/records/{place}"


def factor_page(factor_id: object, version: object) -> str:
    """A version of a factor."""
    return f"{HOME}/factors/{_path(version)}/{quote(str(factor_id), safe='')}"


def find_page(**query: object) -> str:
    """Whatever a text names."""
    return f"{HOME}/find{_query(query)}"


def _path(part: object) -> str:
    return quote(str(part), safe=":.-_~")


def _query(query: dict[str, object]) -> str:
    given = {name: str(value) for name, value in query.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def after(wanted: str) -> str:
    """The query of the form's address for a page that is wanted after it; "" for the first one."""
    return "" if wanted == HOME or not is_page(wanted) else f"?{urlencode({'next': wanted})}"
