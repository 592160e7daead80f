"""An inventory for tests of stated activities: potentials of the IPCC, and factors a test gives."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from carbon_ledger.factor_book.book import Factor, FactorBook
from carbon_ledger.factor_book.index_rows import GWP_100, IndexRow, index_id_of, sealed_index
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import Policy

# Potentials over 100 years of the IPCC's second, fifth and sixth assessment reports.
POTENTIALS = {
    "SAR/CO2": "1",
    "SAR/N2O": "310",
    "AR5/CO2": "1",
    "AR5/CH4": "28",
    "AR5/N2O": "265",
    "AR5/HFC-32": "677",
    "AR5/HFC-125": "3170",
    "AR6/CO2": "1",
    "AR6/CH4": "27.9",
    "AR6/CH4_fossil": "29.8",
    "AR6/N2O": "273",
    "AR6/HFC-32": "771",
    "AR6/HFC-125": "3740",
    "AR6/HFC-134a": "1530",
    "AR6/SF6": "25200",
}


def _row(key: str, value: str) -> IndexRow:
    return sealed_index(
        IndexRow(
            index_id=index_id_of(GWP_100, key, None, "ipcc"),
            version=1,
            series=GWP_100,
            key=key,
            year=None,
            value=Decimal(value),
            unit="kgCO2e per kg",
            publisher="IPCC",
            source_id="ipcc",
            quality_flags=(),
            licence="",
            formula="",
            note=None,
            sha256="",
        )
    )


_ROWS = tuple(_row(key, value) for key, value in POTENTIALS.items())


def inventory(factors: Iterable[Factor] = (), **policy: Any) -> Inventory:
    """An inventory with these factors, the potentials above, and these choices of policy."""
    return Inventory(
        book=FactorBook(factors, "example", _ROWS),
        now=datetime(2026, 1, 1, tzinfo=UTC),
        policy=Policy(**policy),
    )


def recomputed(written: list[str]) -> Fraction:
    """The figure of a working, from its text alone: the first number of each line, and its mark."""
    total, term, has_term = Fraction(0), Fraction(1), False
    for line in written[1:-1]:
        if not line.startswith("  "):
            continue
        mark, text = line[2], line[4:].split(" ", 1)[0]
        number = Fraction(text)
        if mark == "x":
            term *= number
        elif mark == "/":
            term /= number
        else:
            total += term if has_term else 0
            term, has_term = (-number if mark == "-" else number), True
    return total + (term if has_term else 0)
