"""The templates of the activity register: which columns a file of each kind of activity has.

Belongs here: one template per category of scope 3 and kind of scope 1 source, its columns, and what
a row of it says to the calculator. Does not: reading files (pipeline.files), the register's rows
(carbon_ledger.store.activities), figures (category_methods).

Columns are made of the calculators' own field tables, so that a formula that asks for another
number has its column at once. A dot goes into an object, as in `carbon calc --csv`:
`factor.kgco2e` is {"factor": {"kgco2e": …}}.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from carbon_ledger.activities.category_formulas import RECIPES, Kind, Part, Recipe
from carbon_ledger.activities.stated_factors import REFERENCE_FIELDS, STATED_FIELDS
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.organisation.categories import CATEGORIES

# What is asked of every activity; the rest is the calculator's.
ROW_FIELDS: Final = (
    "activity_id",
    "entity_id",
    "facility_id",
    "country_iso2",
    "first_day",
    "last_day",
    "revision",
)
REQUIRED_FIELDS: Final = ("activity_id", "entity_id", "first_day", "last_day")
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2999
# Objects whose names are free: selectors of the factor book, gases of a stated factor.
OPEN_COLUMNS: Final = ("factor.selectors.", "factor.gases.", "share.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """One kind of activity as people submit it.

    `category` None: scope 1. `activity_type` and `facts` classify it where the kind alone does;
    else it is of the category stated here. `needs_gas`: the quantity is of a gas, named in `gas`.
    """

    name: str
    title: str
    category: int | None = None
    activity_type: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    types_of_formulas: Mapping[str, str] = field(default_factory=dict)
    needs_gas: bool = False

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The formulas of its category, in the order of their table."""
        return tuple(one for one in RECIPES.values() if self.category in one.categories)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Every kind of term its formulas have."""
        return tuple(kind for recipe in self.recipes for kind in recipe.kinds)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its file, in order; those of OPEN_COLUMNS may be added."""
        kinds = self.kinds
        parts = {part.name: part for kind in kinds for part in kind.parts}
        factors = not kinds or any(kind.factor != "none" for kind in kinds)
        names = [*ROW_FIELDS, "description"]
        if kinds:
            names += ["formula", "kind"]
        if not kinds or any(kind.quantity != "none" for kind in kinds):
            names += ["quantity", "unit"]
        names += [column for part in parts.values() for column in _columns_of(part)]
        if self.needs_gas or any(kind.factor == "gas" for kind in kinds):
            names.append("gas")
        names += ["treatment", "label", "share"]
        if factors and not self.needs_gas:
            known = dict.fromkeys((*STATED_FIELDS, *REFERENCE_FIELDS))
            names += [f"factor.{one}" for one in known if one not in ("gases", "selectors")]
            names.append("factor.selectors.item")
        return (*names, "stated_kgco2e")

    def takes(self, column: str) -> bool:
        """Whether a file of this template may have the column."""
        return column in self.columns or column.startswith(OPEN_COLUMNS)


def _columns_of(part: Part) -> tuple[str, ...]:
    return (f"{part.name}.value", f"{part.name}.unit") if part.form == "amount" else (part.name,)


_OWN: Final = {"held_as": "own"}
_THIRD: Final = {"operator": "third_party"}
_SCOPE_1: Final = (
    Template(
        name="stationary_fuels",
        title="Fuels burnt in boilers, furnaces, turbines",
        activity_type="stationary_combustion",
        facts=_OWN,
    ),
    Template(
        name="mobile_fuels",
        title="Fuels of own vehicles that send no telematics",
        activity_type="mobile_combustion",
        facts=_OWN,
    ),
    Template(
        name="process_emissions",
        title="Emissions of chemical and physical processes",
        activity_type="process_emission",
        facts=_OWN,
    ),
    Template(
        name="refrigerants",
        title="Refrigerants and other gases lost",
        activity_type="fugitive_emission",
        facts=_OWN,
        needs_gas=True,
    ),
)
_UPSTREAM: Final = (
    Template(
        name="purchased_goods",
        title=CATEGORIES[1].name,
        category=1,
        activity_type="purchase",
        facts={"capitalised": "no"},
    ),
    Template(
        name="capital_goods",
        title=CATEGORIES[2].name,
        category=2,
        activity_type="purchase",
        facts={"capitalised": "yes"},
    ),
    Template(
        name="fuel_and_energy",
        title=CATEGORIES[3].name,
        category=3,
        types_of_formulas={
            "S3-3-A-UPSTREAM-OF-FUEL": "fuel_upstream",
            "S3-3-B-UPSTREAM-OF-POWER": "power_upstream",
            "S3-3-C-LOSSES": "grid_losses",
            "S3-3-D-RESOLD": "resold_power",
        },
    ),
    Template(
        name="upstream_transport",
        title=CATEGORIES[4].name,
        category=4,
        activity_type="transport",
        facts={**_THIRD, "leg": "inbound", "paid_by": "reporter"},
    ),
    Template(
        name="waste",
        title=CATEGORIES[5].name,
        category=5,
        activity_type="waste_treatment",
        facts=_THIRD,
    ),
    Template(
        name="business_travel",
        title=CATEGORIES[6].name,
        category=6,
        activity_type="business_travel",
        facts=_THIRD,
    ),
    Template(
        name="commuting",
        title=CATEGORIES[7].name,
        category=7,
        activity_type="employee_commuting",
        facts=_THIRD,
    ),
    # Whether a lease is the company's own depends on its consolidation; what is submitted here has
    # been decided to be category 8 or 13.
    Template(name="upstream_leased_assets", title=CATEGORIES[8].name, category=8),
)
_DOWNSTREAM: Final = (
    Template(
        name="downstream_transport",
        title=CATEGORIES[9].name,
        category=9,
        activity_type="transport",
        facts={**_THIRD, "leg": "outbound", "paid_by": "customer"},
    ),
    Template(
        name="processing_of_sold_products",
        title=CATEGORIES[10].name,
        category=10,
        activity_type="processing_of_sold_products",
    ),
    Template(
        name="use_of_sold_products",
        title=CATEGORIES[11].name,
        category=11,
        activity_type="use_of_sold_products",
        facts={"transfer": "sold", "phase": "direct"},
    ),
    Template(
        name="end_of_life_of_sold_products",
        title=CATEGORIES[12].name,
        category=12,
        activity_type="end_of_life_of_sold_products",
    ),
    Template(name="downstream_leased_assets", title=CATEGORIES[13].name, category=13),
    Template(
        name="franchises",
        title=CATEGORIES[14].name,
        category=14,
        activity_type="franchise_operations",
        facts={"reporter_is": "franchisor"},
    ),
    Template(
        name="investments",
        title=CATEGORIES[15].name,
        category=15,
        activity_type="investment",
        facts={"controlled": "no"},
    ),
)
TEMPLATES: Final[dict[str, Template]] = {
    one.name: one for one in (*_SCOPE_1, *_UPSTREAM, *_DOWNSTREAM)
}


def find_template(name: str) -> Template:
    """The template of that name; RejectedRecord `unknown_template` with the names there are."""
    found = TEMPLATES.get(name)
    if found is None:
        raise RejectedRecord(
            "unknown_template",
            f"{name[:60]!r} is no template",
            field="template",
            value=name,
            valid=", ".join(TEMPLATES),
        )
    return found


def activity_fields(template: Template, cells: Mapping[str, str]) -> dict[str, Any]:
    """What the calculator is told by a row: its own columns as objects, and what the template says.

    Raises RejectedRecord `unknown_column`, `column_contradiction`, `missing_field`.
    """
    found = _nested({name: one for name, one in cells.items() if name not in ROW_FIELDS})
    recipe = RECIPES.get(str(found.get("formula")))
    if template.needs_gas:
        found["factor"] = _gas_factor(found)
    elif template.kinds and "formula" not in found:
        raise RejectedRecord(
            "missing_field",
            "formula is missing: it says how the figure is made",
            field="formula",
            valid=", ".join(one.formula.formula_id for one in template.recipes),
        )
    if recipe is not None and template.category not in recipe.categories:
        raise RejectedRecord(
            "formula_not_for_category",
            f"{recipe.formula.formula_id} is no formula of {template.name}",
            field="formula",
            value=recipe.formula.formula_id,
            valid=", ".join(one.formula.formula_id for one in template.recipes),
        )
    if recipe is not None and recipe.is_memo:
        return found
    kind = template.types_of_formulas.get(str(found.get("formula")), template.activity_type)
    if kind is not None:
        found |= {"activity_type": kind}
        if template.facts:
            found["facts"] = dict(template.facts)
    else:
        found |= {"scope": "3", "category": str(template.category)}
    return found


def _gas_factor(found: dict[str, Any]) -> dict[str, Any]:
    gas = found.pop("gas", None)
    if gas is None:
        raise RejectedRecord(
            "missing_field", "gas is missing", field="gas", valid="a gas such as HFC-134a or SF6"
        )
    return {"gases": {str(gas): "1"}, "per": "kg"}


def _nested(cells: Mapping[str, str]) -> dict[str, Any]:
    """{"factor.per": "kWh"} as {"factor": {"per": "kWh"}}."""
    found: dict[str, Any] = {}
    for name, cell in cells.items():
        *path, last = name.split(".", 1) if name.count(".") < 2 else name.split(".", 2)
        place: Any = found
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last in place:
            raise RejectedRecord(
                "column_contradiction",
                f"{name}: stands beside a column that makes it both a value and an object",
                field=name,
                value=cell,
                valid="a value, or an object by its dotted columns",
            )
        place[last] = cell
    return found


def check_columns(template: Template, columns: tuple[str, ...]) -> None:
    """RejectedRecord `unknown_column` or `missing_column` for a header the template has not."""
    for name in columns:
        if not template.takes(name):
            raise RejectedRecord(
                "unknown_column",
                f"{name[:60]!r} is no column of the template {template.name}",
                field=name[:60],
                value=name,
                valid=", ".join(template.columns),
            )
    for name in REQUIRED_FIELDS:
        if name not in columns:
            raise RejectedRecord(
                "missing_column",
                f"the template {template.name} has the column {name}",
                field=name,
                valid=", ".join(REQUIRED_FIELDS),
            )


def day_of(cells: Mapping[str, str], name: str) -> date:
    """The day of a cell; RejectedRecord `missing_field`, `invalid_day`."""
    value = cells.get(name, "")
    found = None
    with suppress(ValueError):
        # A workbook's day comes with its time, which is midnight.
        found = date.fromisoformat(value.removesuffix("T00:00:00"))
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise RejectedRecord(
            "invalid_day" if value else "missing_field",
            f"{name}: {value[:40]!r} is no day" if value else f"{name} is missing",
            field=name,
            value=value or None,
            valid=f"a day such as 2025-01-31, from {FIRST_YEAR} to {LAST_YEAR}",
        )
    return found
