"""What a reviewers' page shows of the entries of a cell adds up to all of them, however many."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from api.pages.html import _TEMPLATES
from api.pages.reports import Behind
from carbon_ledger.store.report_trail import Part


def behind(sizes: list[str]) -> Behind:
    parts = [
        Part(
            month=date(2025, number % 12 + 1, 1),
            activity_type="electricity:grid",
            method="measured",
            factor_id=f"factor-{number:02}",
            factor_version=1,
            entries=number + 1,
            kgco2e=Decimal(size),
        )
        for number, size in enumerate(sizes)
    ]
    return Behind(entries=[], next=None, parts=parts, kgco2e=None, is_value=None)


def test_the_largest_are_shown_and_the_others_are_one_sum() -> None:
    found = behind(["1", "-7", "0.000000000001", "3", "0"]).by(
        "factor_id", most=2, largest_first=True
    )
    assert [one.of["factor_id"] for one in found.shown] == ["factor-01", "factor-03"]
    assert found.others == 3
    assert (found.rest.entries, found.rest.kgco2e) == (9, Decimal("1.000000000001"))
    shown = str(_TEMPLATES.get_template("parts.html").module.others(found))  # type: ignore[attr-defined]
    assert "3 others" in shown
    assert ">9<" in shown
    assert ">1.000000000001<" in shown


def test_months_stay_in_their_order_and_nothing_is_said_of_no_others() -> None:
    found = behind(["1", "9", "5"]).by("month", most=3)
    assert [one.of["month"].month for one in found.shown] == [1, 2, 3]
    assert found.others == 0
    assert not str(_TEMPLATES.get_template("parts.html").module.others(found)).strip()  # type: ignore[attr-defined]
