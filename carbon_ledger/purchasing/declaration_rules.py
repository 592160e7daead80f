"""Whether a supplier's declaration may be used, how good it is, and what is remarkable about it.

Belongs here: refusals, flags, scores of a declaration by itself. Does not: figures
(declarations), what the purchases say about it (declaration_checks).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.data_quality import Scores
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.use import EMBEDDED_SET
from carbon_ledger.policy import Policy
from carbon_ledger.purchasing.supplier_events import (
    CRADLE_TO_GATE,
    DEPRECATED,
    GWP_SETS,
    PRODUCT_FOOTPRINT,
    SupplierDeclarationEvent,
)
from carbon_ledger.quantities import PRODUCT

OLDEST_GWP_SET: Final = "AR5"
_VERIFIED: Final = ("limited", "reasonable", "verified")
# Ratings 1 (best) to 3 or 5, rounded up, as the four scores of the Scope 3 Standard (table 7.6). Of
# three, the last is `different or unknown`, which is poor there; of five the last two are poor.
_SCORE_OF_RATING: Final[dict[int, tuple[int, ...]]] = {3: (1, 2, 4), 5: (1, 2, 3, 4, 4)}


def refuse_unfit(event: SupplierDeclarationEvent, policy: Policy) -> None:
    """Returns if the declaration may be used for its period; raises RejectedRecord else.

    Codes: `gwp_set_too_old`, `exempted_emissions_above_policy`, `reference_period_too_old`,
    `footprint_expired`, `boundary_beyond_gate`, `boundary_without_fill`, `upstream_twice`. Rules:
    GHG Protocol Scope 3 Standard (2011), chapter 7 (quality of suppliers' data); PACT technical
    specification 3.0.3 (validity); the limits are choices of this project.
    """
    if GWP_SETS.index(event.gwp_set) < GWP_SETS.index(OLDEST_GWP_SET):
        raise RejectedRecord(
            "gwp_set_too_old",
            f"potentials of {event.gwp_set} are older than {OLDEST_GWP_SET}",
            field="gwp_set",
            value=event.gwp_set,
            valid=", ".join(GWP_SETS[GWP_SETS.index(OLDEST_GWP_SET) :]),
        )
    exempted = event.exempted_emissions_pct
    if exempted is not None and exempted > policy.max_exempted_emissions_pct:
        raise RejectedRecord(
            "exempted_emissions_above_policy",
            f"{exempted} % of the emissions are left out of {event.declaration_id}",
            field="exempted_emissions_pct",
            value=exempted,
            valid=f"at most {policy.max_exempted_emissions_pct} %",
        )
    _refuse_outdated(event, policy)
    _refuse_boundary(event)


def _refuse_outdated(event: SupplierDeclarationEvent, policy: Policy) -> None:
    """The use is the period of the event: its first moment counts."""
    used = event.occurred_from
    if event.reference_to is not None:
        last = years_later(event.reference_to, policy.max_reference_age_years)
        if used > last:
            raise RejectedRecord(
                "reference_period_too_old",
                f"{event.declaration_id} is of data up to {event.reference_to.isoformat()}",
                field="reference_to",
                value=event.reference_to.isoformat(),
                valid=f"use up to {last.isoformat()}, {policy.max_reference_age_years} years later",
            )
    if event.valid_to is not None and used >= event.valid_to:
        raise RejectedRecord(
            "footprint_expired",
            f"{event.declaration_id} was valid until {event.valid_to.isoformat()}",
            field="valid_to",
            value=event.valid_to.isoformat(),
            valid="a footprint that is valid when it is used",
        )


def years_later(moment: datetime, years: int) -> datetime:
    """The same day and time some years later; 29 February becomes the 28th where it must."""
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:
        return moment.replace(year=moment.year + years, day=28)


def _refuse_boundary(event: SupplierDeclarationEvent) -> None:
    if event.boundary == "cradle_to_grave":
        raise RejectedRecord(
            "boundary_beyond_gate",
            f"{event.declaration_id} reaches to the grave, category 1 ends at the supplier's gate",
            field="boundary",
            value=event.boundary,
            valid="cradle_to_gate; use and end of life are categories 11 and 12",
        )
    is_whole = (
        event.boundary == CRADLE_TO_GATE
        if event.kind == PRODUCT_FOOTPRINT
        else event.upstream_kgco2e is not None
    )
    if is_whole and event.upstream_inputs:
        raise RejectedRecord(
            "upstream_twice",
            f"{event.declaration_id} has its upstream in it, and inputs that would fill it",
            field="upstream_inputs",
            value=len(event.upstream_inputs),
            valid="no inputs where upstream is included",
        )
    if not is_whole and not event.upstream_inputs:
        raise RejectedRecord(
            "boundary_without_fill",
            f"{event.declaration_id} leaves out the supplier's own upstream",
            field="boundary" if event.kind == PRODUCT_FOOTPRINT else "upstream_kgco2e",
            value=event.boundary,
            valid="cradle_to_gate, an upstream figure, or upstream_inputs to fill it with",
        )


def is_verified(event: SupplierDeclarationEvent) -> bool:
    """Whether a third party has verified the declaration."""
    return event.assurance in _VERIFIED


def flags_of(event: SupplierDeclarationEvent, policy: Policy) -> tuple[str, ...]:
    """What is remarkable about a declaration that may be used, and what reading it remarked.

    `gwp_set_embedded`, `composition_mismatch` (the parts do not add up to the stated sums),
    `used_before_validity`, `removals_not_netted`, `footprint_deprecated`, and the reader's own
    remarks.
    """
    flags = set(event.remarks)
    if event.gwp_set != policy.gwp_set:
        flags.add(EMBEDDED_SET)
    if event.footprint_status == DEPRECATED:
        flags.add("footprint_deprecated")
    if composition_gap(event):
        flags.add("composition_mismatch")
    if event.valid_from is not None and event.occurred_to <= event.valid_from:
        flags.add("used_before_validity")
    if event.removals_kgco2e_per_unit:
        flags.add("removals_not_netted")
    return tuple(sorted(flags))


def sum_version(event: SupplierDeclarationEvent) -> str:
    """The major version that says what a footprint's sum is of: `2`, `3`, or empty if unstated."""
    return (event.footprint_spec or "").partition(".")[0]


def composition_gap(event: SupplierDeclarationEvent) -> tuple[Decimal, ...]:
    """By how much stated sums miss the sum of their parts: without uptake, with it; () if by none.

    Only where the parts are stated, and not for version 2, whose sum leaves all biogenic emissions
    out: PACT technical specification 3.0.3, CarbonFootprint. Published samples miss the sum
    slightly, so it is a remark and no refusal.
    """
    parts = (
        event.fossil_kgco2e_per_unit,
        event.land_use_kgco2e_per_unit,
        event.biogenic_non_co2_kgco2e_per_unit,
    )
    if sum_version(event) not in ("", "3") or any(part is None for part in parts):
        return ()
    without = _sum(*parts, event.biogenic_co2_kg_per_unit, event.removals_kgco2e_per_unit)
    gaps = []
    for stated, made in (
        (event.kgco2e_per_unit, without),
        (event.including_kgco2e_per_unit, _sum(without, event.uptake_kgco2e_per_unit)),
    ):
        if stated is not None and stated != made:
            gaps.append(PRODUCT.subtract(stated, made))
    return tuple(gaps)


def _sum(*parts: Decimal | None) -> Decimal:
    total = Decimal(0)
    for part in parts:
        if part is not None:
            total = PRODUCT.add(total, part)
    return total


def score_of_rating(rating: Decimal, scale: int) -> int:
    """A rating as a score from 1 to 4: rounded up to the next whole rating, never better."""
    rounded_up = -(-Fraction(rating) // 1)
    return _SCORE_OF_RATING[scale][min(max(rounded_up, 1), scale) - 1]


def declaration_scores(event: SupplierDeclarationEvent) -> Scores:
    """The five scores of a declaration: its own ratings, else what it says of itself.

    Without a rating: technology as the kind has it (a firm's total is an average of its products),
    time by the age of the data, geography and completeness unknown unless stated, reliability by
    verification. GHG Protocol Scope 3 Standard (2011), table 7.6.
    """

    def rated(rating: Decimal | None, otherwise: int) -> int:
        if rating is None or event.dqr_scale is None:
            return otherwise
        return score_of_rating(rating, event.dqr_scale)

    reliability = 1 if is_verified(event) else 2 if event.assurance == "none" else 3
    return Scores(
        technology=rated(event.technological_dqr, 1 if event.kind == PRODUCT_FOOTPRINT else 2),
        time=rated(event.temporal_dqr, _time_score(event)),
        geography=rated(
            event.geographical_dqr, 1 if event.geography_country_iso2 is not None else 4
        ),
        completeness=rated(event.completeness_dqr, _completeness_score(event)),
        reliability=rated(event.reliability_dqr, reliability),
    )


def _time_score(event: SupplierDeclarationEvent) -> int:
    if event.reference_to is None:
        # A total is of the very period it is declared for.
        return 4 if event.kind == PRODUCT_FOOTPRINT else 1
    for score, years in ((1, 3), (2, 6), (3, 10)):
        if event.occurred_from < years_later(event.reference_to, years):
            return score
    return 4


def _completeness_score(event: SupplierDeclarationEvent) -> int:
    covered = event.coverage_share
    if covered is None:
        return 2 if event.exempted_emissions_pct is not None else 4
    if covered == 1:
        return 1
    return 2 if covered > Decimal("0.5") else 3
