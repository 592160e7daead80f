"""Great circle distance between two places, in decimals.

Belongs here: the distance and the trigonometry it needs. Does not: adjustment to a way really gone
(carbon_ledger.transport.freight_activity).

Sines and the arc tangent are series to 50 digits; the distance is rounded once, half-even, to the
metre, which is far finer than the earth is a sphere.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Final

# Mean radius R1 of the earth in km (Moritz, Geodetic Reference System 1980, IUGG).
EARTH_RADIUS_KM: Final = Decimal("6371.0088")

_PI: Final = Decimal("3.14159265358979323846264338327950288419716939937510582")
_METRE: Final = Decimal("0.001")
_TINY: Final = Decimal("1E-55")
_REAL: Final = Context(
    prec=60,
    rounding=ROUND_HALF_EVEN,
    Emin=-9999,
    Emax=9999,
    clamp=0,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)


def great_circle_km(
    latitude: Decimal, longitude: Decimal, to_latitude: Decimal, to_longitude: Decimal
) -> Decimal:
    """Kilometres between two places given in degrees north and east, to the metre.

    Haversine formula on a sphere of the earth's mean radius.
    """
    real = _REAL
    half_north = _half_angle(latitude, to_latitude)
    half_east = _half_angle(longitude, to_longitude)
    across = real.multiply(
        real.multiply(_cosine(_radians(latitude)), _cosine(_radians(to_latitude))),
        _square(_sine(half_east)),
    )
    haversine = min(real.add(_square(_sine(half_north)), across), Decimal(1))
    rest = real.subtract(Decimal(1), haversine)
    if rest <= _TINY:
        angle = _PI
    else:
        tangent = real.divide(real.sqrt(haversine), real.sqrt(rest))
        angle = real.multiply(Decimal(2), _arc_tangent(tangent))
    return real.quantize(real.multiply(EARTH_RADIUS_KM, angle), _METRE)


def _radians(degrees: Decimal) -> Decimal:
    return _REAL.divide(_REAL.multiply(degrees, _PI), Decimal(180))


def _half_angle(one: Decimal, other: Decimal) -> Decimal:
    return _REAL.divide(_radians(_REAL.subtract(other, one)), Decimal(2))


def _square(value: Decimal) -> Decimal:
    return _REAL.multiply(value, value)


def _sine(angle: Decimal) -> Decimal:
    """Taylor series; angles here are at most pi either way."""
    return _series(angle, angle, 1)


def _cosine(angle: Decimal) -> Decimal:
    return _series(Decimal(1), angle, 0)


def _series(first: Decimal, angle: Decimal, power: int) -> Decimal:
    """first - first x angle^2 / ((power+1)(power+2)) + …"""
    real, total, term = _REAL, first, first
    square = _square(angle)
    while abs(term) > _TINY:
        divisor = Decimal((power + 1) * (power + 2))
        term = real.minus(real.divide(real.multiply(term, square), divisor))
        total = real.add(total, term)
        power += 2
    return total


def _arc_tangent(tangent: Decimal) -> Decimal:
    """Halves the angle four times, so that the series is short, and doubles it again."""
    real = _REAL
    for _ in range(4):
        root = real.sqrt(real.add(Decimal(1), _square(tangent)))
        tangent = real.divide(tangent, real.add(Decimal(1), root))
    total, power, square, odd = tangent, tangent, _square(tangent), 1
    while abs(power) > _TINY:
        power = real.minus(real.multiply(power, square))
        odd += 2
        total = real.add(total, real.divide(power, Decimal(odd)))
    return real.multiply(total, Decimal(16))
