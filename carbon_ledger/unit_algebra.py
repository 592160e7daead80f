"""Units of products: whether a chain of operands comes out in the unit a factor is per.

Belongs here: unit expressions such as `kWh per use`, and the exact number that turns their product
into another unit. Does not: the units themselves (carbon_ledger.units), values.

Tonnes times kilometres are tonne-kilometres, cubic metres times days are cubic metre days. A word
that is no unit (`use`, `employee`, `EUR`) measures only itself: it has to cancel, or the product is
refused. So a factor per GBP is never applied to EUR, nor energy per use to a number of products.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.units import ALIASES, DIMENSIONS, canonical_unit

# Carbon dioxide equivalent is a mass of its own: never to be added to a mass of goods.
CO2E_UNITS: Final[dict[str, Fraction]] = {
    f"{unit}CO2e": DIMENSIONS["mass"][unit] for unit in ("g", "kg", "t", "kt", "lb", "short_ton")
}
PURE_NUMBER: Final = "1"
WORD_LENGTH_MAX: Final = 60

_CURRENCY = re.compile(r"[A-Z]{3}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?: [A-Za-z0-9_]+){0,5}")
# What the compound dimensions consist of, and their base unit in the bases of the parts.
_COMPOUND: Final[dict[str, tuple[Fraction, tuple[str, ...]]]] = {
    "transport work": (Fraction(1000), ("mass", "distance")),
    "passenger distance": (Fraction(1), ("passenger", "distance")),
    "vehicle distance": (Fraction(1), ("vehicle", "distance")),
    "container distance": (Fraction(1), ("containers", "distance")),
    "area over time": (Fraction(24), ("area", "time")),
    "volume over time": (Fraction(24 * 1000), ("volume", "time")),
    "working time": (Fraction(1), ("fte", "time")),
}

_Reduced = tuple[Fraction, tuple[tuple[str, int], ...]]


def is_currency(unit: str) -> bool:
    """Whether `unit` has the form of a currency code (ISO 4217) and is no unit of measure."""
    return bool(_CURRENCY.fullmatch(unit)) and unit not in _DIMENSION_OF and unit not in ALIASES


_DIMENSION_OF: Final = {unit: name for name, units in DIMENSIONS.items() for unit in units}


def quantity_unit(unit: object, *, field: str = "unit") -> str:
    """The spelling of a unit an activity is stated in: one of measure, a currency, or mass of CO2e.

    Raises RejectedRecord `unknown_unit`.
    """
    if isinstance(unit, str) and (unit in CO2E_UNITS or is_currency(unit)):
        return unit
    return canonical_unit(unit, field=field)


# Bounded, because activities bring words of their own.
@lru_cache(maxsize=4096)
def _reduced(unit: str) -> _Reduced:
    """A unit expression as an exact number of base units and their powers."""
    above, *below = unit.split(" per ")
    number = Fraction(1)
    powers: dict[str, int] = {}
    for text, sign in ((above, 1), *((part, -1) for part in below)):
        for word in text.split(" x "):
            one, bases = _symbol(word.strip())
            number = number * one if sign > 0 else number / one
            for base in bases:
                powers[base] = powers.get(base, 0) + sign
    return number, tuple(sorted((base, power) for base, power in powers.items() if power))


def _symbol(word: str) -> tuple[Fraction, tuple[str, ...]]:
    if word == PURE_NUMBER:
        return Fraction(1), ()
    if word in CO2E_UNITS:
        return CO2E_UNITS[word], ("CO2e",)
    name = ALIASES.get(word, word)
    dimension = _DIMENSION_OF.get(name)
    if dimension is None:
        if len(word) <= WORD_LENGTH_MAX and _WORD.fullmatch(word):
            return Fraction(1), (word,)
        raise RejectedRecord(
            "unknown_unit",
            f"{word[:60]!r} is no unit",
            field="unit",
            value=word,
            valid="a unit, a word for what is counted, or such joined by ` x ` and ` per `",
        )
    ratio = DIMENSIONS[dimension][name]
    scale, parts = _COMPOUND.get(dimension, (Fraction(1), (dimension,)))
    return ratio * scale, parts


def written(units: Iterable[tuple[str, bool]]) -> str:
    """The product of units as one expression, e.g. `t x km` or `kWh per use x use`."""
    above = [unit for unit, divides in units if not divides and unit != PURE_NUMBER]
    return " x ".join(above) or PURE_NUMBER


def conversion(units: Iterable[tuple[str, bool]], target: str, *, field: str = "unit") -> Fraction:
    """How many `target` one product of `units` is, exactly; (unit, divides) each.

    Raises RejectedRecord `incompatible_unit`, naming what is left over, or `unknown_unit`.
    """
    chain = tuple(units)
    number = Fraction(1)
    powers: dict[str, int] = {}
    for unit, divides in (*chain, (target, True)):
        one, bases = _reduced(unit)
        number = number / one if divides else number * one
        for base, power in bases:
            powers[base] = powers.get(base, 0) + (-power if divides else power)
    left = {base: power for base, power in powers.items() if power}
    if left:
        extra = ", ".join(
            f"{'too much' if power > 0 else 'lacking'}: {base}"
            + (f" (power {abs(power)})" if abs(power) > 1 else "")
            for base, power in sorted(left.items())
        )
        below = [unit for unit, divides in chain if divides and unit != PURE_NUMBER]
        stated = written(chain) + "".join(f" / ({unit})" for unit in below)
        raise RejectedRecord(
            "incompatible_unit",
            f"{stated!r} does not come out in {target!r}; {extra}",
            field=field,
            value=stated,
            valid=f"quantities whose product is in {target}",
        )
    return number
