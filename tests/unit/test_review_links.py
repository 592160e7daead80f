"""Addresses of the reviewers' pages: what names a report, and where a login may lead."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from api.pages import links
from api.pages.links import Made, is_page, named_report

KEPT = UUID("070e13be-f5ae-4105-9ac3-7fbf6508cd53")
MADE = Made(report="cdp", fiscal_year=2025, as_of=datetime(2026, 3, 1, 12, 0, 0, 7, UTC))


def test_a_report_s_name_is_read_as_it_was_written() -> None:
    assert str(MADE) == "cdp.2025.2026-03-01T12:00:00.000007Z"
    assert named_report(str(MADE)) == MADE
    assert named_report(str(KEPT)) == KEPT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        str(KEPT).upper(),
        f"{KEPT}x",
        "gri.2025.2026-03-01T12:00:00.000007Z",
        "cdp.1999.2026-03-01T12:00:00.000007Z",
        "cdp.2025.2026-02-31T12:00:00.000007Z",
        "cdp.2025.2026-03-01T12:00:00Z",
    ],
)
def test_nothing_else_names_one(text: str) -> None:
    assert named_report(text) is None


def test_what_addresses_hold_is_encoded() -> None:
    assert links.cell_page(KEPT, "E1-6/näh #1?/current", after="x&y") == (
        f"/review/reports/{KEPT}/cells/E1-6/n%C3%A4h%20%231%3F/current?after=x%26y"
    )
    assert links.factor_page("grid:DE:2025/a b", 1) == "/review/factors/1/grid%3ADE%3A2025%2Fa%20b"
    assert links.sample_page(KEPT, cell=None, n=3) == f"/review/reports/{KEPT}/sample?n=3"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("/review", True),
        ("/review/entries/1?x=1", True),
        ("/reviewer", False),
        ("/v1/x", False),
        ("https://evil.example/review", False),
        ("//evil.example/review", False),
        ("/\\evil.example", False),
        ("/review/../v1\\x", False),
        ("/review\n", False),
        ("/review/login", False),
        ("/review/logout", False),
        ("/review/" + "x" * 3000, False),
    ],
)
def test_only_pages_are_led_to(text: str, is_one: bool) -> None:
    assert is_page(text) is is_one
