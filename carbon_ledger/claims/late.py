"""What becomes of a change that arrives when its period is closed.

Belongs here: the treatment of late changes. Does not: which change it is
(carbon_ledger.claims.supersession), closing a period, recalculating a base year.

A change never moves kilograms into another year: its lines keep the time of their activity, what
was published stays reproducible as of then, and the difference is shown. (ESRS 1, section 7.4 and
7.5, on comparatives; the threshold is the base year's: GHG Protocol Scope 3 Standard, 9.3.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from carbon_ledger.claims.supersession import Decision
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import PRODUCT

PeriodState = Literal["open", "soft_closed", "closed", "reported"]
Treatment = Literal["as_usual", "revised_comparative", "restate_comparatives"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LateEffect:
    """A late change in kgCO2e, alone and with those before it, and what must be done about it.

    `share` is the larger of the two in relation to the published figure of the category, None where
    that is zero. `periods` are those of the activities, unchanged.
    """

    delta_kgco2e: Decimal
    cumulative_kgco2e: Decimal
    share: Fraction | None
    treatment: Treatment
    periods: tuple[str, ...]
    flags: tuple[str, ...]


def late_effect(
    decision: Decision,
    *,
    period_state: PeriodState,
    category_kgco2e: Decimal,
    earlier_kgco2e: Iterable[Decimal],
    policy: Policy,
    approved_by: str | None = None,
) -> LateEffect:
    """How a decision about a period in `period_state` is treated.

    `category_kgco2e` is the category's published (or closing) figure of that period and
    `earlier_kgco2e` the late changes since. Open: as usual; soft-closed: flagged `late_line`;
    closed or reported: needs somebody's approval and is flagged `prior_period_adjustment`; if the
    change, alone or with those before it, reaches `Policy.base_year_threshold` of the figure, the
    comparatives are restated and the base year tested. Raises RejectedRecord `period_closed`.
    """
    delta = decision.delta_kgco2e
    cumulative = delta
    for earlier in earlier_kgco2e:
        cumulative = PRODUCT.add(cumulative, earlier)
    larger = max(delta.copy_abs(), cumulative.copy_abs())
    share = Fraction(larger) / Fraction(category_kgco2e.copy_abs()) if category_kgco2e else None
    periods = tuple(sorted({posting.line.claim.period for posting in decision.postings}))
    treatment: Treatment = "as_usual"
    flags: tuple[str, ...] = ("late_line",) if period_state == "soft_closed" else ()
    if period_state in ("closed", "reported") and decision.postings:
        if not approved_by:
            raise RejectedRecord(
                "period_closed",
                f"{', '.join(periods)} is {period_state}; {delta} kgCO2e would change it",
                field="approved_by",
                value=approved_by,
                valid="who approved the prior-period adjustment",
            )
        is_significant = bool(larger) and (
            share is None or share >= Fraction(policy.base_year_threshold)
        )
        treatment = "restate_comparatives" if is_significant else "revised_comparative"
        flags = ("prior_period_adjustment",)
    return LateEffect(
        delta_kgco2e=delta,
        cumulative_kgco2e=cumulative,
        share=share,
        treatment=treatment,
        periods=periods,
        flags=flags,
    )
