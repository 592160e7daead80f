"""Shares and allocation: exact parts of a whole, as operands of a working.

Belongs here: how a share enters, keys of allocation, which key limits a vehicle. Does not: what is
shared out (the calculators), ownership (carbon_ledger.organisation.boundary).

A share is never a rounded decimal where it is a ratio: one third is 5000 divided by 15000, with
both numbers in the working.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.quantities import PRODUCT, decimal_from
from carbon_ledger.workings import Operand

_RATIO = re.compile(r"([0-9]{1,38})/([0-9]{1,38})")
PURE: Final = "1"
SHARE_KEYS: Final = ("part", "whole", "of", "occupancy", "unit", "key")


def product_of(operands: Sequence[Operand]) -> Fraction:
    """The exact product (and quotient) of operands that are not zero where they divide."""
    product = Fraction(1)
    for operand in operands:
        value = Fraction(operand.value)
        product = product / value if operand.divides else product * value
    return product


def share_operands(
    value: object, *, field: str, label: str, source: str = ""
) -> tuple[Operand, ...]:
    """A share from 0 to 1 as operands: a number, a ratio `1/3`, or a part and its whole.

    The last is a mapping: `part`, and `whole` or `of` (a list whose sum is the whole and one of
    which is the part), with `unit` and `key` in words; `occupancy` is the share of the whole that
    is in use, so that the rest is borne by the users (Scope 3 Standard, chapter 8, buildings).
    Raises RejectedRecord `share_out_of_range`, `allocation_without_key`, `unknown_field` or the
    codes of decimal_from.
    """
    if isinstance(value, Mapping):
        operands = _part_of_whole(value, field=field, label=label, source=source)
    else:
        one = Operand(value=_ratio(value, field), unit="share", label=label, source=source)
        operands = (one,)
    share = product_of(operands)
    if not 0 <= share <= 1:
        raise RejectedRecord(
            "share_out_of_range",
            f"a share of {share} is none",
            field=field,
            value=share,
            valid="a share from 0 to 1, such as 0.25, 1/3 or a part not above its whole",
        )
    return operands


def _ratio(value: object, field: str) -> Decimal | Fraction:
    if isinstance(value, Fraction):
        return value
    match = _RATIO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return decimal_from(value, field=field)
    if not int(match[2]):
        raise _no_key(field, value)
    return Fraction(int(match[1]), int(match[2]))


def _no_key(field: str, value: object) -> RejectedRecord:
    return RejectedRecord(
        "allocation_without_key",
        "nothing can be shared out by a key whose sum is zero",
        field=field,
        value=value,
        valid="a whole above zero",
    )


def _part_of_whole(
    value: Mapping[str, object], *, field: str, label: str, source: str
) -> tuple[Operand, ...]:
    unknown = sorted(set(value) - set(SHARE_KEYS))
    if unknown or "part" not in value or ("whole" in value) == ("of" in value):
        raise RejectedRecord(
            "unknown_field" if unknown else "missing_field",
            f"a share cannot be read from {', '.join(map(str, sorted(value)))}",
            field=f"{field}.{unknown[0]}" if unknown else field,
            value=unknown[0] if unknown else None,
            valid="part, and one of whole or of; beside them occupancy, unit, key",
        )
    unit, key = str(value.get("unit", PURE)), str(value.get("key", "allocation key"))
    part = decimal_from(value["part"], field=f"{field}.part")
    whole, remark = _whole(value, part, field)
    if part < 0 or whole <= 0:
        raise _no_key(field, whole) if part >= 0 else _negative(field, part)
    operands = [
        Operand(value=part, unit=unit, label=f"{label}: part by {key}", source=source),
        Operand(
            value=whole,
            unit=unit,
            label=f"{label}: whole by {key}{remark}",
            source=source,
            divides=True,
        ),
    ]
    if "occupancy" in value:
        used = _ratio(value["occupancy"], f"{field}.occupancy")
        if not 0 < used <= 1:
            raise RejectedRecord(
                "share_out_of_range",
                f"an occupancy of {used} is none",
                field=f"{field}.occupancy",
                value=used,
                valid="a share above 0, up to 1",
            )
        operands.append(
            Operand(value=used, unit="share", label=f"{label}: occupied share", divides=True)
        )
    return tuple(operands)


def _negative(field: str, part: Decimal) -> RejectedRecord:
    return RejectedRecord(
        "negative_quantity",
        f"a part of {part} is below zero",
        field=field,
        value=part,
        valid="a part of zero or more",
    )


def _whole(value: Mapping[str, object], part: Decimal, field: str) -> tuple[Decimal, str]:
    if "whole" in value:
        return decimal_from(value["whole"], field=f"{field}.whole"), ""
    listed = value["of"]
    if not isinstance(listed, list | tuple) or not listed:
        raise RejectedRecord(
            "not_a_list", "the keys are no list", field=f"{field}.of", value=listed, valid="a list"
        )
    keys = [decimal_from(one, field=f"{field}.of") for one in listed]
    if min(keys) < 0:
        raise _negative(f"{field}.of", min(keys))
    if part not in keys:
        raise RejectedRecord(
            "part_not_in_whole",
            f"the part {part} is none of the keys its whole is made of",
            field=f"{field}.part",
            value=part,
            valid=", ".join(map(str, keys)),
        )
    whole = Decimal(0)
    for key in keys:
        whole = PRODUCT.add(whole, key)
    return whole, f", the sum of {' + '.join(map(str, keys))}"


Basis = Literal["physical", "economic"]
PHYSICAL_KEYS: Final = ("mass", "volume", "area", "energy", "transport_work", "pieces", "time")
ECONOMIC_KEYS: Final = ("revenue", "market_value", "cost")


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One output of a shared process: its amount by the key, and whether it is waste."""

    name: str
    amount: Decimal
    is_waste: bool = False


def allocate(
    outputs: Sequence[Output], *, key: str, unit: str, has_physical_relation: bool = True
) -> dict[str, tuple[Operand, ...]]:
    """Each output's share as operands; the shares sum to exactly one, waste bears nothing.

    GHG Protocol Scope 3 Standard, chapter 8: avoid allocation first, then physical keys; economic
    ones only where no physical relation holds; no burden goes to waste. Raises RejectedRecord
    `unknown_allocation_key`, `economic_key_refused`, `duplicate_output`, `negative_quantity`,
    `allocation_without_key`.
    """
    if key not in PHYSICAL_KEYS and key not in ECONOMIC_KEYS:
        raise RejectedRecord(
            "unknown_allocation_key",
            f"{key!r} is no key of allocation",
            field="key",
            value=key,
            valid=", ".join((*PHYSICAL_KEYS, *ECONOMIC_KEYS)),
        )
    if key in ECONOMIC_KEYS and has_physical_relation:
        raise RejectedRecord(
            "economic_key_refused",
            f"{key} shares out by money although a physical relation holds",
            field="key",
            value=key,
            valid=", ".join(PHYSICAL_KEYS),
        )
    names = [output.name for output in outputs]
    if len(set(names)) < len(names):
        raise RejectedRecord(
            "duplicate_output",
            "an output is named twice",
            field="outputs",
            value=", ".join(names),
            valid="each output once",
        )
    borne = [output.amount for output in outputs if not output.is_waste]
    if any(output.amount < 0 for output in outputs):
        raise _negative("outputs", min(output.amount for output in outputs))
    if not sum(map(Fraction, borne), Fraction(0)):
        raise _no_key("outputs", 0)
    zero = (Operand(value=Decimal(0), unit="share", label="waste bears no burden"),)
    return {
        output.name: zero
        if output.is_waste
        else share_operands(
            {"part": output.amount, "of": borne, "unit": unit, "key": key},
            field="outputs",
            label=f"share of {output.name}",
        )
        for output in outputs
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one consignment takes up in a vehicle, or what the vehicle can take."""

    mass_kg: Decimal
    volume_m3: Decimal


def limiting_key(loads: Sequence[Load], capacity: Load) -> Literal["mass", "volume"]:
    """The key that limits a shared vehicle: whichever of mass and volume it is fuller by.

    GHG Protocol Scope 3 Standard, chapter 8. Equal filling takes mass. Raises
    RejectedRecord `allocation_without_key` where the vehicle takes nothing, `over_capacity`.
    """
    if capacity.mass_kg <= 0 or capacity.volume_m3 <= 0:
        raise _no_key("capacity", min(capacity.mass_kg, capacity.volume_m3))
    by_mass = sum((Fraction(load.mass_kg) for load in loads), Fraction(0))
    by_volume = sum((Fraction(load.volume_m3) for load in loads), Fraction(0))
    fill_mass = by_mass / Fraction(capacity.mass_kg)
    fill_volume = by_volume / Fraction(capacity.volume_m3)
    if max(fill_mass, fill_volume) > 1:
        raise RejectedRecord(
            "over_capacity",
            "the consignments take up more than the vehicle has",
            field="loads",
            value=max(fill_mass, fill_volume),
            valid="consignments within mass and volume of the vehicle",
        )
    return "volume" if fill_volume > fill_mass else "mass"
