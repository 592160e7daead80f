"""The 15 categories of scope 3 as data: names, minimum boundaries, methods, time; ISO's six.

Belongs here: what the standards' tables say of a category. Does not: which category an activity is
in (scopes), how its figure is made (carbon_ledger.activities.category_methods).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from carbon_ledger.errors import BrokenInvariant, RejectedRecord

TABLE: Final = "GHG Protocol Scope 3 Standard (2011), table 5.4"

# P: emissions of past years may be in the figure; C: of the reporting year; F: of future years,
# all of them counted in the reporting year.
Time = Literal["P", "C", "F"]

SUPPLIER_SPECIFIC: Final = "supplier-specific"
HYBRID: Final = "hybrid"
AVERAGE_DATA: Final = "average-data"
SPEND_BASED: Final = "spend-based"
FUEL_BASED: Final = "fuel-based"
DISTANCE_BASED: Final = "distance-based"
SITE_SPECIFIC: Final = "site-specific"
ASSET_SPECIFIC: Final = "asset-specific"
WASTE_SPECIFIC: Final = "waste-type-specific"
FRANCHISE_SPECIFIC: Final = "franchise-specific"
INVESTMENT_SPECIFIC: Final = "investment-specific"
DIRECT_USE_PHASE: Final = "direct use phase"

# The order of supersession; a better figure of the same thing replaces a lesser one. 6 is a
# supplier's verified footprint, 5 one that is not, 4 what a supplier allocates, 0 stands outside.
METHOD_RANKS: Final[dict[str, int]] = {
    SUPPLIER_SPECIFIC: 5,
    HYBRID: 3,
    AVERAGE_DATA: 2,
    SPEND_BASED: 1,
    # Activity data of the thing itself: above spend, below what the supplier states.
    FUEL_BASED: 2,
    DISTANCE_BASED: 2,
    SITE_SPECIFIC: 2,
    ASSET_SPECIFIC: 2,
    WASTE_SPECIFIC: 2,
    FRANCHISE_SPECIFIC: 2,
    INVESTMENT_SPECIFIC: 2,
    DIRECT_USE_PHASE: 2,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """A category of scope 3: what must at least be in it, how and for which years it is made."""

    number: int
    name: str
    minimum_boundary: str
    methods: tuple[str, ...]
    time: tuple[Time, ...]
    is_upstream: bool
    optional: str = ""
    watch: str = ""
    citation: str = TABLE


_PURCHASE_METHODS: Final = (SUPPLIER_SPECIFIC, HYBRID, AVERAGE_DATA, SPEND_BASED)
_TRANSPORT_METHODS: Final = (
    FUEL_BASED,
    DISTANCE_BASED,
    SPEND_BASED,
    SITE_SPECIFIC,
    AVERAGE_DATA,
)

CATEGORIES: Final[dict[int, Category]] = {
    category.number: category
    for category in (
        Category(
            number=1,
            name="Purchased goods and services",
            minimum_boundary="all upstream (cradle-to-gate) emissions of purchased goods, services",
            methods=_PURCHASE_METHODS,
            time=("P", "C"),
            is_upstream=True,
            watch="transport between suppliers is inside category 1",
        ),
        Category(
            number=2,
            name="Capital goods",
            minimum_boundary="all upstream (cradle-to-gate) emissions of purchased capital goods",
            methods=_PURCHASE_METHODS,
            time=("P", "C"),
            is_upstream=True,
            watch="the company's own capitalisation policy; whole in the year of acquisition, "
            "never depreciated",
        ),
        Category(
            number=3,
            name="Fuel- and energy-related activities (not included in scope 1 or scope 2)",
            minimum_boundary="a: upstream of purchased fuels; b: upstream of purchased "
            "electricity; c: transmission and distribution losses, their upstream included; "
            "d: generation of purchased electricity that is sold to end users",
            methods=(SUPPLIER_SPECIFIC, AVERAGE_DATA),
            time=("P", "C"),
            is_upstream=True,
            watch="neither combustion of own fuel nor scope 2 power",
        ),
        Category(
            number=4,
            name="Upstream transportation and distribution",
            minimum_boundary="scope 1 and 2 of carriers and warehouses in use",
            methods=_TRANSPORT_METHODS,
            time=("C",),
            is_upstream=True,
            optional="manufacturing vehicles, facilities and infrastructure",
            watch="tier-1 supplier to own gate, and every transport the company pays, outbound too",
        ),
        Category(
            number=5,
            name="Waste generated in operations",
            minimum_boundary="scope 1 and 2 of waste operators during disposal or treatment",
            methods=(WASTE_SPECIFIC, SUPPLIER_SPECIFIC, AVERAGE_DATA),
            time=("C", "F"),
            is_upstream=True,
            optional="transportation of waste",
        ),
        Category(
            number=6,
            name="Business travel",
            minimum_boundary="scope 1 and 2 of carriers in use",
            methods=(FUEL_BASED, DISTANCE_BASED, SPEND_BASED),
            time=("C",),
            is_upstream=True,
            optional="hotels; manufacturing vehicles and infrastructure",
        ),
        Category(
            number=7,
            name="Employee commuting",
            minimum_boundary="scope 1 and 2 of employees and carriers in use",
            methods=(FUEL_BASED, DISTANCE_BASED, AVERAGE_DATA),
            time=("C",),
            is_upstream=True,
            optional="employee teleworking",
        ),
        Category(
            number=8,
            name="Upstream leased assets",
            minimum_boundary="scope 1 and 2 of lessors from assets the company operates as lessee",
            methods=(ASSET_SPECIFIC, SITE_SPECIFIC, AVERAGE_DATA),
            time=("C",),
            is_upstream=True,
            optional="manufacturing or constructing leased assets",
            watch="only what is not in scope 1 or 2",
        ),
        Category(
            number=9,
            name="Downstream transportation and distribution",
            minimum_boundary="scope 1 and 2 of carriers, distributors and retailers in use",
            methods=_TRANSPORT_METHODS,
            time=("C", "F"),
            is_upstream=False,
            optional="manufacturing vehicles, facilities and infrastructure",
            watch="sold goods whose transport the company does not pay",
        ),
        Category(
            number=10,
            name="Processing of sold products",
            minimum_boundary="scope 1 and 2 of downstream companies during processing",
            methods=(SITE_SPECIFIC, AVERAGE_DATA),
            time=("F",),
            is_upstream=False,
            watch="intermediate goods",
        ),
        Category(
            number=11,
            name="Use of sold products",
            minimum_boundary="direct use phase over the expected lifetime: products that use "
            "energy, fuels and feedstocks, products that contain or form gases",
            methods=(DIRECT_USE_PHASE, AVERAGE_DATA),
            time=("F",),
            is_upstream=False,
            optional="indirect use phase; maintenance",
            watch="the whole life is booked in the year of sale",
        ),
        Category(
            number=12,
            name="End-of-life treatment of sold products",
            minimum_boundary="scope 1 and 2 of waste operators during disposal or treatment",
            methods=(AVERAGE_DATA, WASTE_SPECIFIC),
            time=("F",),
            is_upstream=False,
        ),
        Category(
            number=13,
            name="Downstream leased assets",
            minimum_boundary="scope 1 and 2 of lessees from assets the company owns as lessor",
            methods=(ASSET_SPECIFIC, SITE_SPECIFIC, AVERAGE_DATA),
            time=("C",),
            is_upstream=False,
            optional="manufacturing or constructing leased assets",
            watch="not in category 11 as well",
        ),
        Category(
            number=14,
            name="Franchises",
            minimum_boundary="scope 1 and 2 of franchisees in the operation of franchises",
            methods=(FRANCHISE_SPECIFIC, AVERAGE_DATA),
            time=("C",),
            is_upstream=False,
            optional="manufacturing or constructing franchises",
            watch="reported by the franchisor",
        ),
        Category(
            number=15,
            name="Investments",
            minimum_boundary="scope 1 and 2 of investees in proportion to the share",
            methods=(INVESTMENT_SPECIFIC, AVERAGE_DATA),
            time=("C",),
            is_upstream=False,
            watch="projected lifetime emissions of projects stand beside the total, not in it",
        ),
    )
}


def category_of(number: object, *, field: str = "category") -> Category:
    """The category of a number. Raises RejectedRecord `unknown_category`."""
    if isinstance(number, int) and not isinstance(number, bool) and number in CATEGORIES:
        return CATEGORIES[number]
    raise RejectedRecord(
        "unknown_category",
        f"{str(number)[:60]!r} is no category of scope 3",
        field=field,
        value=number,
        valid="; ".join(f"{one.number} {one.name}" for one in CATEGORIES.values()),
    )


ISO_CATEGORIES: Final[dict[int, str]] = {
    1: "Direct emissions and removals",
    2: "Indirect emissions from imported energy",
    3: "Indirect emissions from transportation",
    4: "Indirect emissions from products used by the organization",
    5: "Indirect emissions associated with the use of products from the organization",
    6: "Indirect emissions from other sources",
}
ISO_CITATION: Final = (
    "ISO 14064-1:2018, 5.2.4 and annex B: mapping not checked against the source's text"
)


def iso_14064_category(scope: int, category: int | None) -> int:
    """The category of ISO 14064-1:2018 (1 to 6) a figure belongs to; 0 for what is in no total.

    Scope 1 is category 1, scope 2 is 2; of scope 3, transport and travel (4, 6, 7, 9) is 3, what
    the organisation uses (1, 2, 3, 5, 8) is 4, what becomes of its products (10 to 15) is 5, all
    else 6 (`ISO_CITATION`). Raises BrokenInvariant `scope_category` for what is no assignment.
    """
    if scope in (0, 1, 2) and category is None:
        return scope
    if scope != 3 or (category is not None and category not in CATEGORIES):
        raise BrokenInvariant(
            "scope_category", f"scope {scope} with category {category} is no assignment"
        )
    if category is None:
        return 6
    if category in (4, 6, 7, 9):
        return 3
    return 4 if category in (1, 2, 3, 5, 8) else 5
