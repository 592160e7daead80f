"""Decimal through one door, and the posted scale.

Belongs here: how a number enters, how a posted figure is rounded. Does not: units
(carbon_ledger.units), what a quantity means or whether its sign is allowed (events), formulas.

Every operation names its context. The interpreter's ambient decimal context, which any library may
change, is never used.
"""

from __future__ import annotations

import re
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from numbers import Real
from typing import Final

from carbon_ledger.errors import RejectedRecord

POSTED_PRECISION: Final = 38
POSTED_SCALE: Final = 12
POSTED_QUANTUM: Final = Decimal("1E-12")
# numeric(38,12) has 26 digits before the point.
POSTED_LIMIT: Final = Decimal(10) ** (POSTED_PRECISION - POSTED_SCALE)

QUANTITY_DIGITS: Final = 38
TEXT_LENGTH_MAX: Final = 100

# A quantity has at most 38 significant digits at the door and 76 after a unit conversion, a factor
# at most 38: 152 digits hold every product of two exactly. Inexact is trapped here on purpose.
PRODUCT: Final = Context(
    prec=152,
    rounding=ROUND_HALF_EVEN,
    Emin=-9999,
    Emax=9999,
    clamp=0,
    traps=[InvalidOperation, DivisionByZero, Overflow, Inexact],
)
# Rounding is what this one is for, so Inexact is not trapped.
ROUNDING: Final = Context(
    prec=152,
    rounding=ROUND_HALF_EVEN,
    Emin=-9999,
    Emax=9999,
    clamp=0,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
CONVERSION_DIGITS: Final = 76
CONVERSION: Final = Context(
    prec=CONVERSION_DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-9999,
    Emax=9999,
    clamp=0,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?")
_NOT_FINITE = re.compile(r"[+-]?(?:s?nan[0-9]*|inf|infinity)", re.IGNORECASE)


def decimal_from(value: object, *, field: str | None = None) -> Decimal:
    """The one door: exactly the number that was written, or RejectedRecord.

    Text is ASCII digits with an optional sign, point and exponent; no blanks, no separators. Binary
    floating-point numbers enter as the shortest text that denotes them. Codes: `not_a_number`,
    `not_finite`, `out_of_range` (more than 38 significant digits, or a magnitude outside
    1E-38 .. 1E+38).
    """
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, bool):
        raise _not_a_number(value, field)
    elif isinstance(value, int):
        number = Decimal(value)
    elif isinstance(value, str):
        number = _decimal_from_text(value, field)
    elif isinstance(value, Real):
        number = _decimal_from_text(str(value), field)
    else:
        raise _not_a_number(value, field)
    if not number.is_finite():
        raise _not_finite(number, field)
    if not _is_modest(number):
        raise RejectedRecord(
            "out_of_range",
            f"{str(number)[:60]} has too many digits or too large or small a magnitude",
            field=field,
            value=number,
            valid="at most 38 significant digits, at most 38 of them after the point",
        )
    return number


def _is_modest(number: Decimal) -> bool:
    parts = number.as_tuple()
    exponent = int(parts.exponent)
    return (
        len(parts.digits) <= QUANTITY_DIGITS
        and exponent >= -QUANTITY_DIGITS
        and number.adjusted() <= QUANTITY_DIGITS
    )


def _decimal_from_text(text: str, field: str | None) -> Decimal:
    if len(text) <= TEXT_LENGTH_MAX and _NUMBER.fullmatch(text):
        return Decimal(text)
    if _NOT_FINITE.fullmatch(text[:TEXT_LENGTH_MAX].strip()):
        raise _not_finite(text, field)
    raise _not_a_number(text, field)


def _not_a_number(value: object, field: str | None) -> RejectedRecord:
    return RejectedRecord(
        "not_a_number",
        f"{str(value)[:60]!r} is not a number",
        field=field,
        value=value,
        valid=f"a decimal number of at most {TEXT_LENGTH_MAX} characters such as 12.5 or 1.25e1",
    )


def _not_finite(value: object, field: str | None) -> RejectedRecord:
    return RejectedRecord(
        "not_finite",
        f"{str(value)[:60]} is not a finite number",
        field=field,
        value=value,
        valid="a finite decimal number",
    )


def canonical_text(value: Decimal) -> str:
    """One spelling per value, for hashing: no exponent, no trailing zeros, no negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if not value else text


def quantize_posted(value: Decimal, *, field: str | None = None) -> Decimal:
    """The value rounded half-even to 12 decimals, the only rounding a posted figure ever sees.

    Raises RejectedRecord `not_finite`, or `out_of_range` if numeric(38,12) cannot hold the result.
    """
    if not value.is_finite():
        raise _not_finite(value, field)
    try:
        posted = ROUNDING.quantize(value, POSTED_QUANTUM)
    except InvalidOperation:
        raise _out_of_posted_range(value, field) from None
    if posted.copy_abs() >= POSTED_LIMIT:
        raise _out_of_posted_range(value, field)
    return posted if posted else posted.copy_abs()


def _out_of_posted_range(value: Decimal, field: str | None) -> RejectedRecord:
    return RejectedRecord(
        "out_of_range",
        f"{str(value)[:60]} does not fit numeric({POSTED_PRECISION},{POSTED_SCALE})",
        field=field,
        value=value,
        valid=f"a magnitude below 1E+{POSTED_PRECISION - POSTED_SCALE}",
    )


def exact_product(left: Decimal, right: Decimal, *, field: str | None = None) -> Decimal:
    """left x right without any rounding; RejectedRecord `out_of_range` if that is not possible.

    Not possible only for numbers that did not come through `decimal_from` or `units.convert`.
    """
    try:
        return PRODUCT.multiply(left, right)
    except (Inexact, Overflow) as error:
        raise RejectedRecord(
            "out_of_range",
            f"{str(left)[:60]} x {str(right)[:60]} has more digits than can be kept exactly",
            field=field,
            value=left,
            valid="factors of at most 76 significant digits each",
        ) from error
