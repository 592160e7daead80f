"""Stated activities to emission lines: the formulas of the 15 categories, and any other product.

Belongs here: the activity as an object of named values, its scope, method and line. Does not: the
formulas (category_formulas), one term (terms), the choice of a
method (carbon_ledger.activities.method_choice), events of the streams (their own modules).

An activity names its scope (and category), or an activity type that is classified, or a formula of
one category. Where it names none, the line is calculated with scope 0 and flagged: it can be looked
at, but enters no total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from carbon_ledger.activities.category_formulas import (
    ACTIVITY_FACTOR,
    FORMULAS,
    RECIPES,
    Kind,
    Recipe,
)
from carbon_ledger.activities.factor_boundaries import check_boundary
from carbon_ledger.activities.shares import share_operands
from carbon_ledger.activities.stated_factors import Reading, mapping, missing, refuse_unknown
from carbon_ledger.activities.terms import ITEM_FIELDS, ItemTerms, item_terms
from carbon_ledger.data_quality import Scores, of_match
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.rows import GRID
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Assignment, EmissionLine, line_of
from carbon_ledger.organisation import categories, scopes
from carbon_ledger.organisation.categories import METHOD_RANKS, category_of
from carbon_ledger.quantities import PRODUCT, canonical_text, decimal_from
from carbon_ledger.unit_algebra import is_currency
from carbon_ledger.workings import Formula, Operand, Term, scaled

__all__ = ["FORMULAS", "lines_of_activity"]

CALCULATED: Final = "calculated"
MIXED: Final = "mixed"
MEMO_FLAG: Final = "memo_outside_totals"
PRINTED_DIFFERS: Final = "stated_figure_differs"
GRID_FOR_MARKET: Final = "market_based_by_grid_average"
INCOMPLETE: Final = "treatment_shares_incomplete"

# A published factor before its vintage and place are known; what technology it is of is not said.
PUBLISHED: Final = Scores(technology=2, time=1, geography=1, completeness=2, reliability=2)

ACTIVITY_FIELDS: Final = (
    "id",
    "description",
    "activity_type",
    "facts",
    "scope",
    "category",
    "basis",
    "method",
    "formula",
    "date",
    "occurred_from",
    "occurred_to",
    "items",
    "stated_kgco2e",
)
ITEMS_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """What is the same for every line of one activity."""

    assignment: Assignment
    recipe: Recipe | None
    formula: Formula
    method: str
    basis: str | None
    activity_type: str
    occurred_from: datetime | None
    occurred_to: datetime | None
    flags: tuple[str, ...]


def lines_of_activity(
    activity: Mapping[str, Any], inventory: Inventory
) -> tuple[EmissionLine, ...]:
    """The lines of a stated activity: one of all its stated factors, one per factor of the book.

    An activity is an object with `quantity`, `unit` and `factor` (or `items` of such), numbers as
    text: {"quantity": "1247.3", "unit": "kWh", "factor": {"kgco2e": "0.3852", "per": "kWh"}}. The
    figure of a line is exact and rounded once, half-even, to 12 decimals. Raises RejectedRecord:
    codes of activity_terms, scopes and the factor book, and `unknown_formula`, `unknown_kind`,
    `unknown_method`, `method_not_for_category`, `formula_not_for_category`,
    `upstream_in_direct_scope`, `direct_in_category_3`, `not_a_location_factor`,
    `scope_contradicts_activity_type`, `basis_missing`, `shares_above_whole`, `invalid_time`.
    """
    mapping(activity, "activity")
    recipe = _recipe(activity)
    has_items = "items" in activity
    known = ACTIVITY_FIELDS if has_items else (*ACTIVITY_FIELDS, *_item_fields(recipe))
    refuse_unknown(activity, (*known, "share") if has_items else known, "")
    frame = _frame(activity, recipe, inventory)
    on = _day(activity)
    read = [
        item_terms(item, kind, Reading(inventory=inventory, on=on, where=where))
        for item, kind, where in _items(activity, recipe)
    ]
    for one in read:
        if one.match is not None:
            check_boundary(one.match, frame.assignment.scope, frame.basis, frame.formula.formula_id)
    flags = set(frame.flags)
    if recipe is not None and recipe.shares_make_whole:
        flags |= _check_treatments(read)
    shared: tuple[Operand, ...] = ()
    if has_items and "share" in activity:
        shared = share_operands(activity["share"], field="share", label="share of all items")
    groups: dict[str, list[ItemTerms]] = {}
    for one in read:
        key = "" if one.match is None else f"{one.match.factor.factor_id} {one.match.how_matched}"
        groups.setdefault(key, []).append(one)
    lines = [_line(group, frame, shared, flags, inventory) for group in groups.values()]
    return _against_stated(tuple(lines), activity)


def _item_fields(recipe: Recipe | None) -> tuple[str, ...]:
    parts = () if recipe is None else tuple(p.name for k in recipe.kinds for p in k.parts)
    return (*ITEM_FIELDS, *dict.fromkeys(parts))


def _recipe(activity: Mapping[str, Any]) -> Recipe | None:
    name = activity.get("formula")
    if name is None or name == ACTIVITY_FACTOR.formula_id:
        return None
    found = RECIPES.get(name) if isinstance(name, str) else None
    if found is None:
        raise RejectedRecord(
            "unknown_formula",
            f"{str(name)[:60]!r} is no formula for a stated activity",
            field="formula",
            value=name,
            valid=", ".join(FORMULAS),
        )
    return found


def _items(
    activity: Mapping[str, Any], recipe: Recipe | None
) -> list[tuple[Mapping[str, Any], Kind | None, str]]:
    """Each item with its kind and the prefix of its fields in messages."""
    if "items" not in activity:
        only = {name: activity[name] for name in _item_fields(recipe) if name in activity}
        return [(only, _kind(only, recipe, ""), "")]
    listed = activity["items"]
    if not isinstance(listed, list | tuple) or not 0 < len(listed) <= ITEMS_MAX:
        raise RejectedRecord(
            "not_a_list",
            "items is no list of items",
            field="items",
            value=str(listed)[:60],
            valid=f"a list of 1 to {ITEMS_MAX} objects",
        )
    items: list[tuple[Mapping[str, Any], Kind | None, str]] = []
    for position, one in enumerate(listed):
        where = f"items[{position}]."
        item = mapping(one, where.rstrip("."))
        items.append((item, _kind(item, recipe, where), where))
    return items


def _kind(item: Mapping[str, Any], recipe: Recipe | None, where: str) -> Kind | None:
    name = item.get("kind")
    if recipe is None:
        if name is None:
            return None
        raise RejectedRecord(
            "unknown_field",
            "a kind of term belongs to a formula, and none is named",
            field=f"{where}kind",
            value=name,
            valid=f"formula: one of {', '.join(RECIPES)}",
        )
    if name is None and len(recipe.kinds) == 1:
        return recipe.kinds[0]
    found = recipe.kind(str(name)) if name is not None else None
    if found is None:
        code = "missing_field" if name is None else "unknown_kind"
        raise RejectedRecord(
            code,
            f"{str(name)[:60]!r} is no kind of term of {recipe.formula.formula_id}",
            field=f"{where}kind",
            value=name,
            valid=", ".join(kind.name for kind in recipe.kinds),
        )
    return found


# ---- scope, method, time


def _frame(activity: Mapping[str, Any], recipe: Recipe | None, inventory: Inventory) -> _Frame:
    assignment = _assignment(activity, recipe, inventory)
    flags = list(scopes.remarks(assignment))
    if recipe is not None and recipe.is_memo:
        flags.append(MEMO_FLAG)
    start, end = _time(activity, "occurred_from"), _time(activity, "occurred_to")
    if (start is None) != (end is None) or (start is not None and end is not None and end < start):
        raise RejectedRecord(
            "invalid_time",
            "an activity has a begin and an end that is not before it, or neither",
            field="occurred_to",
            value=activity.get("occurred_to"),
            valid="occurred_from and occurred_to in order",
        )
    return _Frame(
        assignment=assignment,
        recipe=recipe,
        formula=ACTIVITY_FACTOR if recipe is None else recipe.formula,
        method=_method(activity, recipe, assignment),
        basis=_basis(activity, assignment),
        activity_type=str(activity.get("activity_type", "stated_activity")),
        occurred_from=start,
        occurred_to=end,
        flags=tuple(flags),
    )


def _assignment(
    activity: Mapping[str, Any], recipe: Recipe | None, inventory: Inventory
) -> Assignment:
    kind = activity.get("activity_type")
    scope, category = (_whole_number(activity.get(name)) for name in ("scope", "category"))
    if recipe is not None and recipe.is_memo:
        return _memo(recipe, kind, scope, category)
    if scope is None and category is not None:
        scope = 3
    found = scopes.UNASSIGNED
    if kind is not None:
        facts = mapping(activity.get("facts", {}), "facts")
        found = scopes.assign(kind, facts, inventory.policy)
        if scope is not None:
            declared = scopes.stated(scope, category)
            if (declared.scope, declared.category) != (found.scope, found.category):
                raise RejectedRecord(
                    "scope_contradicts_activity_type",
                    f"stated is scope {scope}, category {category}; {kind} is {found.reason}",
                    field="scope",
                    value=scope,
                    valid=f"scope {found.scope}, category {found.category}",
                )
    elif "facts" in activity:
        raise missing("activity_type", "an activity type the facts are about")
    elif scope is not None:
        found = scopes.stated(scope, category)
    elif recipe is not None:
        found = _of_recipe(recipe)
    # What is in no total (eliminated, counted elsewhere) may still be worked out by any formula.
    if recipe is not None and found.scope != 0 and found.category not in recipe.categories:
        raise RejectedRecord(
            "formula_not_for_category",
            f"{recipe.formula.formula_id} is not for scope {found.scope}, {found.category}",
            field="formula",
            value=recipe.formula.formula_id,
            valid=f"category {', '.join(map(str, recipe.categories))}",
        )
    return found


def _whole_number(value: object) -> object:
    """1 for `1`: a column of text has no numbers. Anything else is left to be refused."""
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 3
    return int(str(value)) if is_digits else value


def _memo(recipe: Recipe, kind: object, scope: object, category: object) -> Assignment:
    if kind is not None or scope is not None or category not in (None, *recipe.categories):
        raise RejectedRecord(
            "formula_not_for_category",
            f"what {recipe.formula.formula_id} gives is in no scope",
            field="formula",
            value=recipe.formula.formula_id,
            valid="no scope and no activity type",
        )
    return Assignment(
        scope=0,
        category=None,
        rule="S3-15-LIFETIME-MEMO",
        reason="projected lifetime emissions stand beside scope 3, never in it "
        f"({categories.TABLE})",
    )


def _of_recipe(recipe: Recipe) -> Assignment:
    if len(recipe.categories) > 1:
        raise RejectedRecord(
            "category_missing",
            f"{recipe.formula.formula_id} is a formula of several categories",
            field="category",
            valid=", ".join(map(str, recipe.categories)),
        )
    category = category_of(recipe.categories[0])
    return Assignment(
        scope=3,
        category=category.number,
        rule=recipe.formula.formula_id,
        reason=f"the formula is of category {category.number}, {category.name} "
        f"({recipe.formula.citation})",
    )


def _method(activity: Mapping[str, Any], recipe: Recipe | None, assignment: Assignment) -> str:
    name = activity.get("method")
    if name is None:
        if recipe is not None:
            return recipe.method
        if assignment.category in (1, 2):
            return categories.SPEND_BASED if _is_of_money(activity) else categories.AVERAGE_DATA
        return CALCULATED
    known = (*METHOD_RANKS, CALCULATED, "measured")
    if name not in known:
        raise RejectedRecord(
            "unknown_method",
            f"{str(name)[:60]!r} is no method",
            field="method",
            value=name,
            valid=", ".join(known),
        )
    if assignment.category is not None:
        allowed = category_of(assignment.category).methods
        if name not in (*allowed, CALCULATED):
            raise RejectedRecord(
                "method_not_for_category",
                f"{name} is no method of category {assignment.category}",
                field="method",
                value=name,
                valid=", ".join(allowed),
            )
    return str(name)


def _is_of_money(activity: Mapping[str, Any]) -> bool:
    """Whether any of it is stated in money: a figure is of no better method than its least part."""
    items = activity.get("items", [activity])
    listed = items if isinstance(items, list | tuple) else []
    return any(isinstance(one, Mapping) and is_currency(str(one.get("unit", ""))) for one in listed)


def _basis(activity: Mapping[str, Any], assignment: Assignment) -> str | None:
    """The basis stated; scope 2 has two, so it has to say which (Scope 2 Guidance, chapter 7)."""
    basis = activity.get("basis")
    is_scope_2 = assignment.scope == 2
    if is_scope_2 and basis not in ("location", "market"):
        raise RejectedRecord(
            "basis_missing",
            "a scope 2 figure is location-based or market-based, and has to say which",
            field="basis",
            value=basis,
            valid="location, market",
        )
    return None if basis is None else str(basis)[:40]


def _time(activity: Mapping[str, Any], name: str) -> datetime | None:
    found = _local_time(activity, name)
    return None if found is None else found.astimezone(UTC)


def _local_time(activity: Mapping[str, Any], name: str) -> datetime | None:
    """A time as it is stated, with its own offset; UTC where it has none."""
    value = activity.get(name)
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise RejectedRecord(
            "invalid_time",
            f"{name} {str(value)[:40]!r} is no time",
            field=name,
            value=value,
            valid="an ISO 8601 time such as 2024-03-01T00:00:00+00:00",
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _day(activity: Mapping[str, Any]) -> date | None:
    """The day stated, else the one the activity began on by the clock it is stated in."""
    value = activity.get("date")
    if value is None:
        begin = _local_time(activity, "occurred_from")
        return None if begin is None else begin.date()
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise RejectedRecord(
            "invalid_time",
            f"date {str(value)[:40]!r} is no day",
            field="date",
            value=value,
            valid="an ISO 8601 day such as 2024-03-01",
        ) from None


# ---- lines


def _line(
    group: Sequence[ItemTerms],
    frame: _Frame,
    shared: tuple[Operand, ...],
    flags: set[str],
    inventory: Inventory,
) -> EmissionLine:
    terms = scaled((one for item in group for one in item.terms), shared)
    gas_terms: dict[str, list[Term]] = {}
    for item in group:
        for gas, parts in item.gas_terms:
            gas_terms.setdefault(gas, []).extend(scaled(parts, shared))
    # A gas is known for the whole line or not at all: half a vector would look like a whole one.
    if any(not item.gas_terms for item in group):
        gas_terms = {}
    sets = {item.gwp_set for item in group}
    quantity, unit = _total_quantity(group)
    match = group[0].match
    basis = frame.basis or ("stated" if match is None else match.factor.basis or "stated")
    # The last step of the hierarchy of instruments (Scope 2 Guidance, table 6.3): to be disclosed.
    if basis == "market" and match is not None and match.factor.family == GRID:
        flags = {*flags, GRID_FOR_MARKET}
    rank = METHOD_RANKS.get(frame.method, 0) if frame.assignment.scope == 3 else 0
    return line_of(
        assignment=frame.assignment,
        formula=frame.formula,
        terms=terms,
        gas_terms=tuple((gas, tuple(parts)) for gas, parts in sorted(gas_terms.items())),
        basis=basis,
        method=frame.method,
        activity_type=frame.activity_type,
        quantity=quantity,
        unit=unit,
        gwp_set=sets.pop() if len(sets) == 1 else MIXED,
        rank=rank,
        factor=match,
        factor_scores=None if match is None else of_match(PUBLISHED, match),
        primary_share=Decimal(0) if frame.recipe is None else frame.recipe.primary_share,
        occurred_from=frame.occurred_from,
        occurred_to=frame.occurred_to,
        flags=(*flags, *(flag for item in group for flag in item.flags)),
    )


def _total_quantity(group: Sequence[ItemTerms]) -> tuple[Decimal, str]:
    """The activity as stated: its sum where the unit is one, else the number of items."""
    if len({item.unit for item in group}) > 1:
        return Decimal(len(group)), "item"
    total = Decimal(0)
    for item in group:
        total = PRODUCT.add(total, item.quantity)
    return total, group[0].unit


def _check_treatments(items: Sequence[ItemTerms]) -> set[str]:
    """Treatments of one waste may not add up to more than it; less is flagged.

    Items are of one waste if they have the same mass and label.
    """
    by_whole: dict[tuple[str, Fraction | None], Fraction] = {}
    for item in items:
        if item.share is not None and item.whole is not None:
            by_whole[item.whole] = by_whole.get(item.whole, Fraction(0)) + item.share
    for total in by_whole.values():
        if total > 1:
            raise RejectedRecord(
                "shares_above_whole",
                f"the treatments add up to {total} of the waste",
                field="items",
                value=total,
                valid="shares that add up to 1; a label each, where wastes have the same mass",
            )
    return {INCOMPLETE} if any(total < 1 for total in by_whole.values()) else set()


def _against_stated(
    lines: tuple[EmissionLine, ...], activity: Mapping[str, Any]
) -> tuple[EmissionLine, ...]:
    """Flags the lines where a figure printed beside the activity is not what it comes to.

    The tolerance is half of the last digit printed, so that a figure rounded for print passes.
    """
    printed = activity.get("stated_kgco2e")
    if printed is None:
        return lines
    figure = decimal_from(printed, field="stated_kgco2e")
    exponent = int(figure.as_tuple().exponent)
    tolerance = Fraction(10) ** exponent / 2
    total = sum((line.working.exact() for line in lines), Fraction(0))
    if abs(total - Fraction(figure)) <= tolerance:
        return lines
    flag = f"{PRINTED_DIFFERS}:{canonical_text(figure)}"
    return tuple(replace(one, flags=tuple(sorted({*one.flags, flag}))) for one in lines)
