"""Which method a purchase is calculated by.

Belongs here: the decision tree of the Technical Guidance. Does not: the methods' formulas
(category_formulas), which figure replaces which (carbon_ledger.claims.supersession).
"""

from __future__ import annotations

from dataclasses import dataclass

from carbon_ledger.organisation import categories
from carbon_ledger.organisation.categories import METHOD_RANKS


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodChoice:
    """The method for a purchase, its rank, and which answer of the decision led to it."""

    method: str
    rank: int
    reason: str


def category_1_method(
    *,
    is_significant: bool,
    has_product_data: bool,
    is_product_data_sufficient: bool,
    has_allocated_data: bool,
    is_quantity_known: bool,
) -> MethodChoice:
    """The method for category 1 by the decision tree of the Technical Guidance, figure 1.2.

    Product data are the supplier's cradle-to-gate figures, and sufficient by quality; allocated
    data its own scopes 1 and 2 for these products. More specific is not always more accurate
    (Technical Guidance, box 1.1), so insufficient product data are passed over.
    """
    figure = "(Technical Guidance for Calculating Scope 3 Emissions, figure 1.2)"
    if is_significant and has_product_data and is_product_data_sufficient and is_quantity_known:
        choice, why = categories.SUPPLIER_SPECIFIC, "sufficient cradle-to-gate data of the supplier"
    elif is_significant and has_allocated_data:
        choice, why = categories.HYBRID, "the supplier's own scopes 1 and 2, the rest filled"
    elif is_quantity_known:
        choice, why = categories.AVERAGE_DATA, "the quantity is known"
    else:
        choice, why = categories.SPEND_BASED, "only the value is known"
    return MethodChoice(method=choice, rank=METHOD_RANKS[choice], reason=f"{why} {figure}")
