"""What `carbon calc --explain` printed, computed again: from the text, and from nothing else.

Belongs here: reading that text as a person with a calculator would. Does not: any part of the
calculation; nothing is imported from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

_HEADING = re.compile(r"activity (\d+)(?: \((.*)\))?, line (\d+) of (\d+)")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+|/[0-9]+)?")
_POSTED_DECIMALS = 12


@dataclass
class Written:
    """One figure of the text: what it is of, the terms as signed products, what is printed."""

    subject: str
    terms: list[Fraction] = field(default_factory=list)
    printed: str = ""
    unit: str = ""

    def recomputed(self) -> Fraction:
        """The sum of the terms, rounded half-even to 12 decimals as the text says."""
        scale = 10**_POSTED_DECIMALS
        return Fraction(round(sum(self.terms, Fraction(0)) * scale), scale)


@dataclass
class WrittenLine:
    """One emission line of the text: its figure in kgCO2e, and each gas by its name."""

    activity: int
    name: str
    number: int
    of: int
    formula_id: str = ""
    figure: Written = field(default_factory=lambda: Written("kgCO2e"))
    gases: dict[str, Written] = field(default_factory=dict)


def read(text: str) -> list[WrittenLine]:
    """Every emission line of the text. Raises ValueError for what cannot be read."""
    lines: list[WrittenLine] = []
    at: Written | None = None
    for row in text.splitlines():
        heading = _HEADING.fullmatch(row)
        if heading:
            number, name, position, of = heading.groups()
            lines.append(WrittenLine(int(number), name or "", int(position), int(of)))
            at = None
        elif row.startswith("  formula "):
            lines[-1].formula_id = row.split()[1].rstrip(":")
            at = lines[-1].figure
        elif row.startswith("  of which "):
            gas = row.removeprefix("  of which ").removesuffix(":").split(",")[0]
            at = lines[-1].gases[gas] = Written(gas)
        elif row.startswith("    "):
            if at is None:
                raise ValueError(f"a number of no working: {row!r}")
            _take(at, row)
    return lines


def _take(at: Written, row: str) -> None:
    mark, rest = row[4], row[6:]
    number = rest.split(" ", 1)[0]
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"no number: {row!r}")
    if mark == "=":
        at.printed, at.unit = number, rest.split(" ", 1)[1]
    elif mark == "x":
        at.terms[-1] *= Fraction(number)
    elif mark == "/":
        at.terms[-1] /= Fraction(number)
    elif mark in " -":
        at.terms.append(-Fraction(number) if mark == "-" else Fraction(number))
    else:
        raise ValueError(f"no mark of a working: {row!r}")
