"""Formulas of the Scope 3 Standard as data: which named numbers each kind of term consists of.

Belongs here: formulas, the kinds of their terms, the numbers a term asks for. Does not: reading an
activity (terms), the categories themselves (carbon_ledger.organisation.categories).

A term of an activity is of one kind. It may have a quantity with a unit, then named numbers
(`amount`: with a unit of their own; `count`: without; `share`), then constants of the formula, and
last a factor. The unit of a count is fixed here, so that the product comes out in the factor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.organisation import categories as by
from carbon_ledger.workings import Formula, Operand, formula_table

GUIDANCE: Final = "GHG Protocol Technical Guidance for Calculating Scope 3 Emissions v1.0 (2013)"
# Stands for who travels: `passenger` with a factor per passenger-km, `vehicle` with one per
# vehicle-km, nothing with one per km.
TRAVELLER: Final = "@traveller"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A named number of a term. `unit` is that of a count, or what is put behind an amount's unit
    (` per use`); `measures` is a unit an amount must be convertible to.
    """

    name: str
    label: str
    form: Literal["amount", "count", "share"]
    unit: str = ""
    measures: str = ""
    divides: bool = False
    is_required: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of term. `quantity` says what its quantity may be, `suffix` stands behind its unit."""

    name: str
    quantity: Literal["any", "money", "emissions", "none"] = "any"
    suffix: str = ""
    parts: tuple[Part, ...] = ()
    constants: tuple[Operand, ...] = ()
    factor: Literal["required", "gas", "none"] = "required"
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A formula, what its terms may be, and where it applies. Scope 3 unless `is_memo`."""

    formula: Formula
    method: str
    categories: tuple[int, ...]
    kinds: tuple[Kind, ...]
    primary_share: Decimal = Decimal(0)
    # Terms whose shares are treatments of one whole: they may not exceed it together.
    shares_make_whole: bool = False
    is_memo: bool = False

    def kind(self, name: str) -> Kind | None:
        """The kind of that name, None if the formula has none."""
        return next((kind for kind in self.kinds if kind.name == name), None)


def _recipe(
    formula_id: str,
    text: str,
    section: str,
    method: str,
    in_categories: tuple[int, ...],
    *kinds: Kind,
    primary_share: Decimal = Decimal(0),
    shares_make_whole: bool = False,
    is_memo: bool = False,
) -> Recipe:
    return Recipe(
        formula=Formula(
            formula_id=formula_id, text=f"kgCO2e = {text}", citation=f"{GUIDANCE}, {section}"
        ),
        method=method,
        categories=in_categories,
        kinds=kinds,
        primary_share=primary_share,
        shares_make_whole=shares_make_whole,
        is_memo=is_memo,
    )


def _amount(name: str, label: str, measures: str, unit: str = "") -> Part:
    return Part(name=name, label=label, form="amount", unit=unit, measures=measures)


def _count(name: str, label: str, unit: str = "1") -> Part:
    return Part(name=name, label=label, form="count", unit=unit)


def _share(name: str, label: str, is_required: bool = True) -> Part:
    return Part(name=name, label=label, form="share", is_required=is_required)


_PRODUCT = Kind(name="product")
_SPEND = Kind(name="spend", quantity="money")
_FUEL = Kind(name="fuel")
_ELECTRICITY = Kind(name="electricity")
_ENERGY = Kind(name="energy")
_REFRIGERANT = Kind(name="refrigerant", factor="gas")
_PROCESS = Kind(name="process")
_WASTE = Kind(name="waste")
_EMISSIONS = Kind(name="emissions", quantity="emissions", factor="none")
_MASS = _amount("mass", "mass of the goods, packaging included", "t")
_DISTANCE = _amount("distance", "distance", "km")
_TONNE_KM = Kind(name="transport", quantity="none", parts=(_MASS, _DISTANCE))
_BACKHAUL = Kind(
    name="backhaul",
    quantity="none",
    parts=(
        _amount("empty_distance", "distance driven empty", "km"),
        _amount("fuel_per_distance", "fuel per distance", "", " per km"),
    ),
)
_SITE = (_FUEL, _ELECTRICITY, _ENERGY, _REFRIGERANT, _PROCESS, _WASTE, _EMISSIONS)
_TREATMENT = Kind(
    name="treatment",
    quantity="none",
    parts=(
        _amount("mass", "mass of waste", "t"),
        _share("treated_share", "share treated this way", is_required=False),
    ),
)
_RETURN = Operand(value=Decimal(2), unit="1", label="there and back")

_PURCHASES: Final = (
    _recipe(
        "S3-SUPPLIER-SPECIFIC",
        "sum (quantity x supplier's cradle-to-gate factor)",
        "category 1 and 2, supplier-specific method",
        by.SUPPLIER_SPECIFIC,
        (1, 2),
        _PRODUCT,
        primary_share=Decimal(1),
    ),
    _recipe(
        "S3-HYBRID",
        "allocated scope 1 and 2 of the supplier + material inputs x factor + inbound transport x "
        "factor + waste x factor (or + quantity x factor without the supplier's stage)",
        "category 1 and 2, hybrid method",
        by.HYBRID,
        (1, 2),
        Kind(name="allocated", quantity="emissions", factor="none"),
        _FUEL,
        _ELECTRICITY,
        _REFRIGERANT,
        Kind(name="input"),
        _TONNE_KM,
        _WASTE,
        Kind(name="remainder"),
    ),
    _recipe(
        "S3-AVERAGE-DATA",
        "sum (quantity x average factor per unit)",
        "category 1 and 2, average-data method",
        by.AVERAGE_DATA,
        (1, 2),
        _PRODUCT,
    ),
    _recipe(
        "S3-SPEND-BASED",
        "sum (value x factor per value)",
        "spend-based method",
        by.SPEND_BASED,
        (1, 2, 4, 6, 9),
        _SPEND,
    ),
)

_ENERGY_RELATED: Final = (
    _recipe(
        "S3-3-A-UPSTREAM-OF-FUEL",
        "fuel consumed x upstream factor",
        "category 3, activity a",
        by.AVERAGE_DATA,
        (3,),
        _FUEL,
    ),
    _recipe(
        "S3-3-B-UPSTREAM-OF-POWER",
        "energy consumed x upstream factor of its generation",
        "category 3, activity b",
        by.AVERAGE_DATA,
        (3,),
        _ENERGY,
    ),
    _recipe(
        "S3-3-C-LOSSES",
        "energy consumed x generation factor x loss rate + energy x upstream factor of the losses",
        "category 3, activity c",
        by.AVERAGE_DATA,
        (3,),
        Kind(name="losses", parts=(_share("loss_rate", "loss rate"),)),
        Kind(name="lost_energy"),
        Kind(name="upstream_of_losses"),
    ),
    _recipe(
        "S3-3-D-RESOLD",
        "energy bought and sold on x factor of its generation, upstream included",
        "category 3, activity d",
        by.AVERAGE_DATA,
        (3,),
        _ENERGY,
    ),
)

_TRANSPORT: Final = (
    _recipe(
        "S3-FUEL-BASED",
        "sum (fuel x factor) + sum (electricity x factor) + sum (refrigerant lost x potential) "
        "+ sum (empty distance x fuel per distance x factor)",
        "category 4, 6, 7 and 9, fuel-based method",
        by.FUEL_BASED,
        (4, 6, 7, 9),
        _FUEL,
        _ELECTRICITY,
        _REFRIGERANT,
        _BACKHAUL,
    ),
    _recipe(
        "S3-DISTANCE-BASED",
        "sum (mass x distance x factor of mode and vehicle)",
        "category 4 and 9, distance-based method",
        by.DISTANCE_BASED,
        (4, 9),
        _TONNE_KM,
        Kind(
            name="containers",
            quantity="none",
            parts=(_amount("containers", "containers", "TEU"), _DISTANCE),
        ),
        Kind(
            name="vehicle",
            quantity="none",
            parts=(_count("vehicles", "vehicles", TRAVELLER), _DISTANCE),
        ),
    ),
    _recipe(
        "S3-STORAGE-SITE",
        "sum ((fuel x factor + electricity x factor + refrigerant lost x potential) x share)",
        "category 4 and 9, site-specific method for distribution",
        by.SITE_SPECIFIC,
        (4, 9),
        *_SITE,
    ),
    _recipe(
        "S3-STORAGE-AVERAGE",
        "sum (volume x days x factor per volume and day)",
        "category 4 and 9, average-data method for distribution",
        by.AVERAGE_DATA,
        (4, 9),
        Kind(
            name="storage",
            quantity="none",
            parts=(_amount("volume", "volume stored", "m3"), _amount("time", "time", "day")),
        ),
    ),
)

_OPERATIONS: Final = (
    _recipe(
        "S3-5-BY-TREATMENT",
        "sum (mass of waste x share treated this way x factor of the treatment)",
        "category 5, average-data method",
        by.AVERAGE_DATA,
        (5,),
        _TREATMENT,
        shares_make_whole=True,
    ),
    _recipe(
        "S3-5-WASTE-TYPE",
        "sum (waste x factor of its type and treatment) + allocated figures of the operators",
        "category 5, waste-type-specific method",
        by.WASTE_SPECIFIC,
        (5,),
        _WASTE,
        _EMISSIONS,
        Kind(
            name="transport",
            quantity="none",
            parts=(_MASS, _DISTANCE),
            flags=("optional_boundary",),
        ),
    ),
    _recipe(
        "S3-6-DISTANCE",
        "sum (passengers or vehicles x distance x factor) (+ nights x factor)",
        "category 6, distance-based method",
        by.DISTANCE_BASED,
        (6,),
        Kind(
            name="trip",
            quantity="none",
            parts=(_count("travellers", "passengers or vehicles", TRAVELLER), _DISTANCE),
        ),
        Kind(name="hotel", flags=("optional_boundary",)),
    ),
    _recipe(
        "S3-7-COMMUTING",
        "sum (employees x share x one-way distance x 2 x days x factor) (+ energy x factor)",
        "category 7, distance-based and average-data method",
        by.AVERAGE_DATA,
        (7,),
        Kind(
            name="commute",
            quantity="none",
            parts=(
                _count("employees", "employees", TRAVELLER),
                _share("share_of_employees", "share that commutes this way", is_required=False),
                _amount("one_way_distance", "distance from home to work", "km"),
                _count("days", "days of commuting"),
                Part(
                    name="persons_per_vehicle",
                    label="persons in a vehicle",
                    form="count",
                    unit="1",
                    divides=True,
                    is_required=False,
                ),
            ),
            constants=(_RETURN,),
        ),
        Kind(name="telework", flags=("optional_boundary",)),
    ),
)

_ASSETS: Final = (
    _recipe(
        "S3-LEASED-SITE",
        "sum (fuel x factor + electricity x factor + refrigerant lost x potential + process) x "
        "share, which is area / (total area x occupancy)",
        "category 8 and 13, asset-specific and lessor-specific method",
        by.ASSET_SPECIFIC,
        (8, 13),
        *_SITE,
    ),
    _recipe(
        "S3-LEASED-AVERAGE",
        "sum (floor area or number of assets x average factor)",
        "category 8 and 13, average-data method",
        by.AVERAGE_DATA,
        (8, 13),
        Kind(name="asset"),
    ),
    _recipe(
        "S3-14-SITE",
        "sum (scope 1 and 2 of the franchises: energy x factor + refrigerant lost x potential)",
        "category 14, franchise-specific method",
        by.FRANCHISE_SPECIFIC,
        (14,),
        *_SITE,
    ),
    _recipe(
        "S3-14-AVERAGE",
        "sum (floor area or number of franchises x average factor)",
        "category 14, average-data method",
        by.AVERAGE_DATA,
        (14,),
        Kind(name="asset"),
    ),
)

_SOLD = _count("sold", "products sold", "piece")
_PRODUCTS: Final = (
    _recipe(
        "S3-10-SITE",
        "sum (fuel x factor + electricity x factor + refrigerant x potential + waste x factor)",
        "category 10, site-specific method",
        by.SITE_SPECIFIC,
        (10,),
        *_SITE,
    ),
    _recipe(
        "S3-10-AVERAGE",
        "sum (sold intermediate product x factor of its processing)",
        "category 10, average-data method",
        by.AVERAGE_DATA,
        (10,),
        _PRODUCT,
    ),
    _recipe(
        "S3-11-USE-PHASE",
        "sum (uses over the life x products sold x energy per use x factor) + sum (fuel sold x "
        "factor) + sum (products sold x gas lost over the life x potential)",
        "category 11, direct use phase",
        by.DIRECT_USE_PHASE,
        (11,),
        Kind(
            name="use",
            quantity="none",
            parts=(
                _count("uses", "uses over the life", "use per piece"),
                _SOLD,
                _amount("energy_per_use", "energy or fuel per use", "", " per use"),
            ),
        ),
        Kind(
            name="lifetime_distance",
            quantity="none",
            parts=(
                _SOLD,
                _amount("distance_per_life", "distance over the life", "km", " per piece"),
            ),
        ),
        _FUEL,
        Kind(
            name="leakage",
            quantity="none",
            parts=(_SOLD, _amount("lost_per_life", "gas lost over the life", "kg", " per piece")),
            factor="gas",
        ),
        Kind(
            name="indirect",
            quantity="none",
            parts=(
                _count("uses", "uses over the life", "use per piece"),
                _SOLD,
                _amount("energy_per_use", "energy or fuel per use", "", " per use"),
            ),
            flags=("optional_boundary",),
        ),
    ),
    _recipe(
        "S3-12-BY-TREATMENT",
        "sum (mass of sold products and packaging x share treated this way x factor)",
        "category 12, average-data method",
        by.AVERAGE_DATA,
        (12,),
        _TREATMENT,
        shares_make_whole=True,
    ),
)

_STAKE = _share("investment_share", "share of the investment")
_INVESTMENTS: Final = (
    _recipe(
        "S3-15-INVESTMENT",
        "sum (scope 1 and 2 of the investee x share of equity, of equity and debt, or of cost)",
        "category 15, investment-specific method",
        by.INVESTMENT_SPECIFIC,
        (15,),
        Kind(name="investee", quantity="emissions", factor="none", parts=(_STAKE,)),
    ),
    _recipe(
        "S3-15-AVERAGE",
        "sum (revenue of the investee x factor of its sector x share)",
        "category 15, average-data method",
        by.AVERAGE_DATA,
        (15,),
        Kind(name="revenue", quantity="money", parts=(_STAKE,)),
    ),
    _recipe(
        "S3-15-LIFETIME",
        "sum (projected emissions per year x years x share), beside scope 3, not in it",
        "category 15, projected lifetime emissions",
        by.INVESTMENT_SPECIFIC,
        (15,),
        Kind(
            name="project",
            quantity="emissions",
            suffix=" per year",
            factor="none",
            parts=(_count("years", "projected lifetime", "year"), _STAKE),
        ),
        is_memo=True,
    ),
)

RECIPES: Final[dict[str, Recipe]] = {
    recipe.formula.formula_id: recipe
    for recipe in (
        *_PURCHASES,
        *_ENERGY_RELATED,
        *_TRANSPORT,
        *_OPERATIONS,
        *_ASSETS,
        *_PRODUCTS,
        *_INVESTMENTS,
    )
}
ACTIVITY_FACTOR: Final = Formula(
    formula_id="ACTIVITY-FACTOR",
    text="kgCO2e = sum (activity x emission factor), further numbers as named",
    citation="GHG Protocol Scope 3 Standard (2011), chapter 7; Corporate Standard, chapter 6",
)
FORMULAS: Final = formula_table(ACTIVITY_FACTOR, *(one.formula for one in RECIPES.values()))
