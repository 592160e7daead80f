"""A figure and how it came about: sums of products of stated numbers, and the formulas they follow.

Belongs here: exact evaluation, the one rounding at its end, and the working as a person would write
it down. Does not: which numbers to multiply (the calculators), which factor applies (factors).

Every figure of the ledger is a sum of terms, each a product (or quotient) of operands that are
stated with their unit and source. The arithmetic is exact fractions throughout; a figure is rounded
once, half-even, to 12 decimals. So the text of `written` is enough to recompute it by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.quantities import POSTED_LIMIT, POSTED_SCALE, ROUNDING, canonical_text

_SCALE: Final = 10**POSTED_SCALE


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A stable id, the formula in words, and where it is written down (standard, paragraph)."""

    formula_id: str
    text: str
    citation: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Operand:
    """One number of a working: its value, its unit, what it is, and where it came from.

    `divides` puts it under the line. A value is exact: a Decimal, or a Fraction for a ratio that
    does not terminate (one gigajoule is 2500/9 kWh).
    """

    value: Decimal | Fraction
    unit: str
    label: str
    source: str = ""
    divides: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """A product of operands; `sign` is -1 for what is taken off."""

    operands: tuple[Operand, ...]
    label: str = ""
    sign: int = 1

    def exact(self) -> Fraction:
        """The product, exactly. Raises RejectedRecord `division_by_zero` naming the operand."""
        # One reduction at the end; reducing after every operand costs more than all else here.
        above, below = self.sign, 1
        for operand in self.operands:
            numerator, denominator = operand.value.as_integer_ratio()
            if not operand.divides:
                above *= numerator
                below *= denominator
                continue
            if not numerator:
                raise RejectedRecord(
                    "division_by_zero",
                    f"{operand.label} is zero, but the formula divides by it",
                    field=operand.label,
                    value=operand.value,
                    valid="a number above zero",
                )
            above *= denominator
            below *= numerator
        return Fraction(above, below)


@dataclass(frozen=True, kw_only=True, slots=True)
class Working:
    """A figure: the sum of its terms, by a formula, in `unit`."""

    formula: Formula
    terms: tuple[Term, ...]
    unit: str = "kgCO2e"

    def exact(self) -> Fraction:
        """The sum of the terms, exactly."""
        return sum((term.exact() for term in self.terms), Fraction(0))

    def posted(self) -> Decimal:
        """The figure as it is posted. Raises RejectedRecord `out_of_range`."""
        return posted_fraction(self.exact())

    def written(self) -> list[str]:
        """The working, line by line: everything needed to recompute the figure by hand.

        A term begins with its first operand; `x` multiplies by, `/` divides by, `-` in front of a
        term takes it off; the last line is the figure as posted.
        """
        lines = [
            f"formula {self.formula.formula_id}: {self.formula.text} [{self.formula.citation}]"
        ]
        for number, term in enumerate(self.terms, start=1):
            if len(self.terms) > 1:
                lines.append(one_line(f"term {number}{': ' + term.label if term.label else ''}"))
            sign = "-" if term.sign < 0 else " "
            for position, operand in enumerate(term.operands):
                mark = "/" if operand.divides else ("x" if position else sign)
                lines.append(f"  {mark} {_operand_text(operand)}")
        lines.append(f"  = {canonical_text(self.posted())} {self.unit}")
        return lines


def posted_fraction(value: Fraction) -> Decimal:
    """An exact value rounded half-even to 12 decimals, as numeric(38,12) holds it.

    Raises RejectedRecord `out_of_range`.
    """
    # round() of a Fraction is half-even.
    scaled = round(value * _SCALE)
    if abs(scaled) >= int(POSTED_LIMIT) * _SCALE:
        raise RejectedRecord(
            "out_of_range",
            f"a figure of {str(scaled)[:60]}E-{POSTED_SCALE} does not fit the ledger",
            value=str(scaled)[:60],
            valid=f"a magnitude below {POSTED_LIMIT:f}",
        )
    return ROUNDING.scaleb(Decimal(scaled), -POSTED_SCALE)


def exact_text(value: Decimal | Fraction) -> str:
    """A number as it is written in a working: plain decimal where it ends, else a fraction."""
    if isinstance(value, Decimal):
        return canonical_text(value)
    twos = (value.denominator & -value.denominator).bit_length() - 1
    fives, rest = 0, value.denominator >> twos
    while rest % 5 == 0:
        fives, rest = fives + 1, rest // 5
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator)
    number = Decimal((int(value < 0), tuple(map(int, digits)), -places))
    return canonical_text(number)


def _operand_text(operand: Operand) -> str:
    source = f"; {operand.source}" if operand.source else ""
    return one_line(f"{exact_text(operand.value)} {operand.unit} ({operand.label}{source})")


def one_line(text: str) -> str:
    """The text with a blank for every character that could end a line or hide one.

    Labels come from outside: a line feed in one must not write a line of the working.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " for one in text)


def term(*operands: Operand, label: str = "", sign: int = 1) -> Term:
    """A term of these operands."""
    return Term(operands=tuple(operands), label=label, sign=sign)


def scaled(terms: Iterable[Term], by: Sequence[Operand]) -> tuple[Term, ...]:
    """The same terms, each multiplied by further operands (a share, an allocation key)."""
    return tuple(
        Term(operands=(*one.operands, *by), label=one.label, sign=one.sign) for one in terms
    )


def formula_table(*formulas: Formula) -> dict[str, Formula]:
    """Formulas by id; BrokenInvariant `formula_twice` if an id is used twice."""
    table: dict[str, Formula] = {}
    for formula in formulas:
        if formula.formula_id in table:
            raise BrokenInvariant("formula_twice", f"{formula.formula_id} is defined twice")
        table[formula.formula_id] = formula
    return table
