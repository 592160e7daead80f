"""Changes that arrive when their period is closed: shown, approved, and never moved."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from carbon_ledger.claims.late import late_effect
from carbon_ledger.claims.supersession import Decision, decide
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.policy import Policy
from tests.support.claim_examples import POLICY, arrive, estimate, footprint


def decision(kg: str = "800") -> Decision:
    """A footprint of `kg` in the place of an estimate of 1000 kg."""
    return decide(arrive([estimate()])[0], footprint(kg=kg), POLICY)


def effect(of: Decision, category: str = "4000", earlier: Sequence[str] = (), **more: Any) -> Any:
    given: dict[str, Any] = {
        "period_state": "reported",
        "approved_by": "controller",
        "policy": POLICY,
        **more,
    }
    return late_effect(
        of,
        category_kgco2e=Decimal(category),
        earlier_kgco2e=[Decimal(one) for one in earlier],
        **given,
    )


@pytest.mark.parametrize(
    ("kg", "category", "earlier", "treatment", "share"),
    [
        # 200 of 4000 kg are the 5 % at which comparatives are restated; less is only shown.
        ("800", "4000", [], "restate_comparatives", "1/20"),
        ("800", "4001", [], "revised_comparative", "200/4001"),
        ("1200", "4000", [], "restate_comparatives", "1/20"),
        # Together with what came before it reaches the threshold, or it does not.
        ("900", "4000", ["-100"], "restate_comparatives", "1/20"),
        ("900", "4000", ["-99"], "revised_comparative", "199/4000"),
        # What cancels earlier changes is still measured by its own size.
        ("800", "4000", ["200"], "restate_comparatives", "1/20"),
        ("900", "4000", ["50", "50"], "revised_comparative", "1/40"),
        # Anything is significant where nothing was published; nothing is not.
        ("800", "0", [], "restate_comparatives", None),
        ("1000", "0", [], "revised_comparative", None),
        # A category that came out below zero (credit notes) has a size all the same.
        ("800", "-4000", [], "restate_comparatives", "1/20"),
    ],
)
def test_the_threshold_counts_alone_and_cumulatively(
    kg: str, category: str, earlier: list[str], treatment: str, share: str | None
) -> None:
    found = effect(decision(kg), category, earlier)
    assert found.treatment == treatment
    assert found.share == (None if share is None else Fraction(share))
    assert found.flags == ("prior_period_adjustment",)


def test_the_kilograms_stay_in_the_period_of_their_activity() -> None:
    found = effect(decision("900"), earlier=["-30"])
    assert found.periods == ("2025-03",)
    assert (found.delta_kgco2e, found.cumulative_kgco2e) == (-100, -130)


@pytest.mark.parametrize(("state", "flags"), [("open", ()), ("soft_closed", ("late_line",))])
def test_before_the_close_nothing_is_needed(state: str, flags: tuple[str, ...]) -> None:
    found = effect(decision(), period_state=state, approved_by=None)
    assert (found.treatment, found.flags) == ("as_usual", flags)


@pytest.mark.parametrize("state", ["closed", "reported"])
@pytest.mark.parametrize("approved_by", [None, ""])
def test_after_the_close_somebody_must_approve(state: str, approved_by: str | None) -> None:
    with pytest.raises(RejectedRecord) as refused:
        effect(decision(), period_state=state, approved_by=approved_by)
    assert (refused.value.code, refused.value.field) == ("period_closed", "approved_by")
    assert "2025-03" in refused.value.message
    found = effect(decision(), period_state=state)
    assert found.treatment == "restate_comparatives"


def test_what_changes_nothing_needs_no_approval() -> None:
    lines, _ = arrive([estimate()])
    found = effect(decide(lines, estimate(), POLICY), approved_by=None)
    assert (found.treatment, found.flags, found.periods) == ("as_usual", (), ())


def test_the_threshold_is_the_companys_choice() -> None:
    policy = Policy(base_year_threshold=Decimal("0.1"))
    assert effect(decision(), policy=policy).treatment == "revised_comparative"
