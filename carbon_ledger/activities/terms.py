"""One term of a stated activity: its numbers as operands, its factor applied.

Belongs here: reading quantity, named numbers and shares of one item. Does not: its factor
(stated_factors), the kinds of a formula (category_formulas), the line
(carbon_ledger.activities.category_methods).

What is not known is refused with what would be; a number is never completed by a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from carbon_ledger.activities.category_formulas import TRAVELLER, Kind, Part
from carbon_ledger.activities.shares import share_operands
from carbon_ledger.activities.stated_factors import (
    Reading,
    Terms,
    applied_to,
    factor_unit,
    mapping,
    missing,
    number,
    refuse_unknown,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.match import FactorMatch
from carbon_ledger.unit_algebra import CO2E_UNITS, PURE_NUMBER, is_currency, quantity_unit
from carbon_ledger.units import DIMENSIONS, dimension_of, ratio
from carbon_ledger.workings import Operand, Term

ITEM_FIELDS: Final = (
    "quantity",
    "unit",
    "factor",
    "multiply",
    "divide",
    "share",
    "label",
    "kind",
    "gas",
    "treatment",
)
_PLAIN: Final = Kind(name="")


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemTerms:
    """The terms of one item and what is to be said of them.

    `share` is the named share of the item, `whole` what it is a share of: a label, and kilograms.
    """

    terms: Terms
    gas_terms: tuple[tuple[str, Terms], ...]
    gwp_set: str
    flags: tuple[str, ...]
    match: FactorMatch | None
    quantity: Decimal
    unit: str
    share: Fraction | None = None
    whole: tuple[str, Fraction | None] | None = None


def item_terms(item: Mapping[str, Any], kind: Kind | None, reading: Reading) -> ItemTerms:
    """Terms of one item: its operands in order, converted to the factor's unit, times the factor.

    Raises RejectedRecord `unknown_field`, `missing_field`, `unknown_unit`, `incompatible_unit`,
    `negative_quantity`, `negative_factor`, `share_out_of_range`, and what finding a factor raises.
    """
    kind = kind or _PLAIN
    known = (*ITEM_FIELDS, *(part.name for part in kind.parts))
    refuse_unknown(item, known, reading.where)
    per = factor_unit(item, kind, reading)
    operands: list[Operand] = []
    if kind.quantity != "none":
        operands.append(_quantity(item, kind, reading))
    elif "quantity" in item or "unit" in item:
        raise RejectedRecord(
            "unknown_field",
            f"a term of kind {kind.name} has no quantity",
            field=reading.field("quantity"),
            valid=", ".join(part.name for part in kind.parts),
        )
    share: tuple[Operand, ...] = ()
    for part in kind.parts:
        found = _part(item, part, per, reading)
        share = found if part.form == "share" else share
        operands.extend(found)
    operands.extend(kind.constants)
    operands.extend(_further(item, "multiply", reading))
    operands.extend(_further(item, "divide", reading))
    if "share" in item:
        operands.extend(share_operands(item["share"], field=reading.field("share"), label="share"))
    first = operands[0]
    applied = applied_to(item, operands, per, reading)
    return ItemTerms(
        terms=_labelled(applied.terms, item),
        gas_terms=applied.gas_terms,
        gwp_set=applied.gwp_set,
        flags=(*applied.flags, *kind.flags),
        match=applied.match,
        quantity=Decimal(first.value) if isinstance(first.value, Decimal) else Decimal(1),
        unit=first.unit,
        share=_product(share) if share else None,
        whole=(str(item.get("label", "")), _mass_kg(first)) if share else None,
    )


def _mass_kg(operand: Operand) -> Fraction | None:
    """The operand in kilograms, None where it is no mass."""
    if operand.unit not in DIMENSIONS["mass"]:
        return None
    return Fraction(operand.value) * ratio(operand.unit, "kg")


def _product(operands: Sequence[Operand]) -> Fraction:
    return Term(operands=tuple(operands)).exact()


def _labelled(terms: Terms, item: Mapping[str, Any]) -> Terms:
    words = [str(item[name])[:80] for name in ("kind", "treatment", "label") if item.get(name)]
    label = ", ".join(words)
    return tuple(Term(operands=one.operands, label=label, sign=one.sign) for one in terms)


def _quantity(item: Mapping[str, Any], kind: Kind, reading: Reading) -> Operand:
    for name in ("quantity", "unit"):
        if name not in item:
            raise missing(reading.field(name), "a number, and the unit it is in")
    unit = quantity_unit(item["unit"], field=reading.field("unit"))
    fits = {
        "any": True,
        "money": is_currency(unit),
        "emissions": unit in CO2E_UNITS,
        "none": False,
    }
    if not fits[kind.quantity]:
        valid = "a currency such as EUR" if kind.quantity == "money" else ", ".join(CO2E_UNITS)
        raise RejectedRecord(
            "incompatible_unit",
            f"a term of kind {kind.name} is stated in {kind.quantity}, not in {unit}",
            field=reading.field("unit"),
            value=unit,
            valid=valid,
        )
    value = number(item["quantity"], reading.field("quantity"))
    return Operand(value=value, unit=unit + kind.suffix, label="activity")


def _part(item: Mapping[str, Any], part: Part, per: str, reading: Reading) -> tuple[Operand, ...]:
    field = reading.field(part.name)
    if part.name not in item:
        if not part.is_required:
            return ()
        form = {
            "amount": '{"value": number, "unit": unit}',
            "count": "a number",
            "share": "a share from 0 to 1",
        }
        raise missing(field, f"{part.label}: {form[part.form]}")
    value = item[part.name]
    if part.form == "share":
        return share_operands(value, field=field, label=part.label)
    if part.form == "count":
        unit = _traveller(per) if part.unit == TRAVELLER else part.unit
        return (
            Operand(value=number(value, field), unit=unit, label=part.label, divides=part.divides),
        )
    stated = mapping(value, field)
    refuse_unknown(stated, ("value", "unit"), f"{field}.")
    if set(stated) != {"value", "unit"}:
        raise missing(field, f'{part.label}: {{"value": number, "unit": unit}}')
    unit = quantity_unit(stated["unit"], field=f"{field}.unit")
    if part.measures:
        ratio(unit, part.measures, field=f"{field}.unit")
    amount = number(stated["value"], f"{field}.value")
    return (Operand(value=amount, unit=unit + part.unit, label=part.label, divides=part.divides),)


def _traveller(per: str) -> str:
    words = {"passenger distance": "passenger", "vehicle distance": "vehicle"}
    if per in CO2E_UNITS or is_currency(per):
        return PURE_NUMBER
    return words.get(dimension_of(per), PURE_NUMBER)


def _further(item: Mapping[str, Any], name: str, reading: Reading) -> list[Operand]:
    listed = item.get(name, [])
    if not isinstance(listed, list | tuple):
        raise RejectedRecord(
            "not_a_list",
            f"{name} is no list",
            field=reading.field(name),
            value=listed,
            valid='a list of {"value": number, "unit": unit, "label": words}',
        )
    operands = []
    for position, one in enumerate(listed):
        field = reading.field(f"{name}[{position}]")
        stated = mapping(one, field)
        refuse_unknown(stated, ("value", "unit", "label"), f"{field}.")
        if "value" not in stated:
            raise missing(f"{field}.value", "a number")
        operands.append(
            Operand(
                value=number(stated["value"], f"{field}.value"),
                unit=str(stated.get("unit", PURE_NUMBER)),
                label=str(stated.get("label", name))[:80],
                divides=name == "divide",
            )
        )
    return operands
