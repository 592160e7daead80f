"""Units of activity quantities: what each measures, exact ratios, and conversion.

Belongs here: units and their dimensions. Does not: decimals themselves (carbon_ledger.quantities),
currencies (factor_book.prices), heating values, densities and other properties of a substance.

A unit is written in one spelling, plus the aliases below. Ratios are exact fractions of the base
unit, so a conversion rounds at most once, at the 76th significant digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.quantities import CONVERSION, exact_product

# International yard and pound agreement (1959); NIST Handbook 44, appendix C, for the rest.
_POUND_KG = Fraction("0.45359237")
_FOOT_M = Fraction("0.3048")
_MILE_KM = Fraction("1.609344")
_US_GALLON_L = Fraction("3.785411784")
# International Table Btu: 1 Btu/lb = 2326 J/kg exactly.
_MMBTU_J = Fraction("1055055852.62")
_THERM_J = _MMBTU_J / 10
_SHORT_TON_KG = 2000 * _POUND_KG
_HOUR_S = Fraction(3600)
_DAY_S = 24 * _HOUR_S


def _joules() -> dict[str, Fraction]:
    prefixed = {
        f"{prefix}{unit}": factor * base
        for unit, base in (("J", Fraction(1)), ("Wh", _HOUR_S))
        for prefix, factor in (("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12))
    }
    return {**prefixed, "MMBtu": _MMBTU_J, "therm": _THERM_J}


# Fuel energy is stated on the gross (higher) or net (lower) heating value. The two, and energy of
# which that is not said, are different dimensions: going from one to the other needs the fuel.
_FUEL_ENERGY: Final = {
    name: {f"{unit}_{suffix}": ratio for unit, ratio in _joules().items()}
    for name, suffix in (
        ("energy, gross heating value", "gross"),
        ("energy, net heating value", "net"),
    )
}

DIMENSIONS: Final[dict[str, dict[str, Fraction]]] = {
    "energy": _joules(),
    **_FUEL_ENERGY,
    "mass": {
        "kg": Fraction(1),
        "g": Fraction(1, 1000),
        "mg": Fraction(1, 10**6),
        "t": Fraction(1000),
        "kt": Fraction(10**6),
        "lb": _POUND_KG,
        "oz": _POUND_KG / 16,
        "short_ton": _SHORT_TON_KG,
        "long_ton": 2240 * _POUND_KG,
    },
    "volume": {
        "L": Fraction(1),
        "mL": Fraction(1, 1000),
        "m3": Fraction(1000),
        "ML": Fraction(10**6),
        "gal": _US_GALLON_L,
        "gal_imperial": Fraction("4.54609"),
        "bbl": 42 * _US_GALLON_L,
        "ft3": _FOOT_M**3 * 1000,
    },
    # At 60 degrees Fahrenheit and 14.7 psia: an amount of gas, not the room a meter measured.
    "gas at standard conditions": {"scf": Fraction(1)},
    "distance": {
        "km": Fraction(1),
        "m": Fraction(1, 1000),
        "mi": _MILE_KM,
        "ft": _FOOT_M / 1000,
        "nmi": Fraction("1.852"),
    },
    "transport work": {
        "tkm": Fraction(1),
        "kgkm": Fraction(1, 1000),
        "short_ton_mile": _SHORT_TON_KG / 1000 * _MILE_KM,
    },
    "passenger distance": {"pkm": Fraction(1), "passenger_mile": _MILE_KM},
    "vehicle distance": {"vkm": Fraction(1), "vehicle_mile": _MILE_KM},
    "container distance": {"TEU_km": Fraction(1)},
    "area": {"m2": Fraction(1), "ft2": _FOOT_M**2, "ha": Fraction(10**4)},
    "area over time": {"m2_day": Fraction(1), "m2_year": Fraction(365)},
    "volume over time": {"m3_day": Fraction(1)},
    "time": {
        "h": Fraction(1),
        "s": 1 / _HOUR_S,
        "min": Fraction(1, 60),
        "day": Fraction(24),
    },
    "count": {"piece": Fraction(1), "dozen": Fraction(12)},
    "containers": {"TEU": Fraction(1), "FEU": Fraction(2), "FEU45": Fraction(9, 4)},
    "room nights": {"room_night": Fraction(1)},
    "working time": {"fte_working_hour": Fraction(1)},
    "data": {"megabit_second": Fraction(1)},
}

ALIASES: Final[dict[str, str]] = {
    "litre": "L",
    "liter": "L",
    "l": "L",
    "tonne": "t",
    "kilogram": "kg",
    "gallon": "gal",
    "cubic meter": "m3",
    "kilowatt hour": "kWh",
    "kwh": "kWh",
    "megajoule": "MJ",
    "gj": "GJ",
    "gj_hhv": "GJ_gross",
    "kwh_gross": "kWh_gross",
    "kwh_net": "kWh_net",
    "mmbtu_hhv": "MMBtu_gross",
    "tonne_km": "tkm",
    "ton kilometer": "tkm",
    "passenger_km": "pkm",
    "mile": "mi",
    "million_litre": "ML",
    "square meter": "m2",
    "hour": "h",
    "megabit second": "megabit_second",
    "pcs": "piece",
    "kgKm": "kgkm",
}

_DIMENSION_OF: Final = {unit: name for name, units in DIMENSIONS.items() for unit in units}


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """An amount in a unit, exactly as stated."""

    value: Decimal
    unit: str

    def to(self, unit: str, *, field: str = "unit") -> Quantity:
        """The same amount in another unit; raises what `convert` raises."""
        unit = canonical_unit(unit, field=field)
        return Quantity(value=convert(self.value, self.unit, unit, field=field), unit=unit)


def canonical_unit(unit: object, *, field: str = "unit") -> str:
    """The one spelling of a unit. Raises RejectedRecord `unknown_unit` with the units there are."""
    if isinstance(unit, str):
        name = ALIASES.get(unit, unit)
        if name in _DIMENSION_OF:
            return name
    raise RejectedRecord(
        "unknown_unit",
        f"{str(unit)[:60]!r} is no unit known here",
        field=field,
        value=unit,
        valid="; ".join(f"{name}: {', '.join(units)}" for name, units in DIMENSIONS.items()),
    )


def dimension_of(unit: str, *, field: str = "unit") -> str:
    """What a unit measures, e.g. `mass`. Raises RejectedRecord `unknown_unit`."""
    return _DIMENSION_OF[canonical_unit(unit, field=field)]


def ratio(from_unit: str, to_unit: str, *, field: str = "unit") -> Fraction:
    """How many `to_unit` one `from_unit` is, exactly.

    Raises RejectedRecord `unknown_unit`, or `incompatible_unit` naming the units that would do.
    """
    source, target = canonical_unit(from_unit, field=field), canonical_unit(to_unit, field=field)
    dimension = _DIMENSION_OF[target]
    if _DIMENSION_OF[source] != dimension:
        raise RejectedRecord(
            "incompatible_unit",
            f"{source!r} measures {_DIMENSION_OF[source]}, but {target!r} measures {dimension}",
            field=field,
            value=from_unit,
            valid=f"{dimension}: {', '.join(DIMENSIONS[dimension])}",
        )
    return DIMENSIONS[dimension][source] / DIMENSIONS[dimension][target]


def convert(value: Decimal, from_unit: str, to_unit: str, *, field: str = "unit") -> Decimal:
    """The same amount in another unit: exact where the result terminates, else to 76 digits.

    Raises RejectedRecord as `ratio` does.
    """
    exact = ratio(from_unit, to_unit, field=field)
    if exact == 1:
        return value
    scaled = exact_product(value, Decimal(exact.numerator), field=field)
    return CONVERSION.divide(scaled, Decimal(exact.denominator))
