"""Whether a published factor may be used in a scope: combustion here, upstream there, never both.

Belongs here: factors of the book a stated activity refers to, and what their boundary rules out.
Does not: finding them (stated_factors), which scope an activity is in
(carbon_ledger.organisation.scopes).
"""

from __future__ import annotations

from typing import Final

from carbon_ledger.energy.meter_places import check_location_factor
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.match import FactorMatch
from carbon_ledger.factor_book.rows import ELECTRICITY_FAMILIES

# Stages and bases that hold what is upstream of a fuel or of power, or lost on the way.
UPSTREAM: Final = frozenset(
    {
        "wtt",
        "wtw",
        "td_losses",
        "wtt_td_losses",
        "distribution_losses",
        "wtt_distribution_losses",
        "cradle_to_gate",
        "eeio_basic",
        "eeio_purchaser",
    }
)
DIRECT: Final = frozenset({"combustion", "ttw", "scope2_electricity"})
UPSTREAM_FORMULAS: Final = ("S3-3-A-UPSTREAM-OF-FUEL", "S3-3-B-UPSTREAM-OF-POWER")


def check_boundary(match: FactorMatch, scope: int, basis: str | None, formula_id: str) -> None:
    """Refuses a factor whose boundary is not that of the scope or formula it is used in.

    Scopes 1 and 2 hold combustion and generation alone, what is upstream of them is category 3, and
    neither is counted in the other (GHG Protocol Scope 3 Standard, table 5.4, category 3, and
    chapter 7). Raises RejectedRecord `upstream_in_direct_scope`, `direct_in_category_3`,
    `not_a_location_factor`.
    """
    factor = match.factor
    names = {factor.stage, factor.basis}
    if scope in (1, 2) and names & UPSTREAM:
        raise RejectedRecord(
            "upstream_in_direct_scope",
            f"{factor.factor_id} holds upstream emissions or losses, which are not scope {scope}",
            field="factor",
            value=factor.factor_id,
            valid="a factor of combustion or generation",
        )
    if scope == 2 and basis == "location":
        check_location_factor(match)
    is_direct = bool(names & DIRECT) or factor.family in ELECTRICITY_FAMILIES
    if formula_id in UPSTREAM_FORMULAS and is_direct:
        raise RejectedRecord(
            "direct_in_category_3",
            f"{factor.factor_id} is of combustion or generation, which is scope 1 or 2",
            field="factor",
            value=factor.factor_id,
            valid="a well-to-tank factor",
        )
