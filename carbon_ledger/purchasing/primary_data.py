"""How much of a category rests on data of suppliers and partners, in the two ways it is asked for.

Belongs here: the two shares over lines. Does not: what share of one figure is primary (each
calculator says so), scores (carbon_ledger.data_quality).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from carbon_ledger.lines import EmissionLine

SUPPLIER_BASIS: Final = "supplier"


@dataclass(frozen=True, kw_only=True, slots=True)
class PrimaryShares:
    """Exact shares of a sum of kgCO2e; both None where the sum is zero.

    `weighted` counts of each figure the part its supplier calls primary: for ESRS E1 AR 46(g) as
    `PercentageOfGrossScope3GreenhouseGasEmissionsCalculatedUsingPrimaryData…`. `supplier_sourced`
    counts every figure with data of a supplier or partner whole: for the CDP questionnaire, 7.8,
    and the Scope 3 Standard, 11.1. It is never below the other.
    """

    kgco2e: Fraction
    weighted: Fraction | None
    supplier_sourced: Fraction | None


def primary_shares(lines: Iterable[EmissionLine]) -> PrimaryShares:
    """Both shares over lines of one category: sum(kg x share) / sum(kg).

    Lines of 0 kg weigh nothing; a credit weighs negative, as its original does positive.
    """
    kept = tuple(lines)
    total = _sum(kept, lambda line: Fraction(1))
    if not total:
        return PrimaryShares(kgco2e=total, weighted=None, supplier_sourced=None)
    return PrimaryShares(
        kgco2e=total,
        weighted=_sum(kept, lambda line: Fraction(line.primary_share)) / total,
        supplier_sourced=_sum(kept, lambda line: Fraction(_is_supplier_sourced(line))) / total,
    )


def _is_supplier_sourced(line: EmissionLine) -> bool:
    return line.basis == SUPPLIER_BASIS or line.primary_share > 0


def _sum(lines: Iterable[EmissionLine], weight: Callable[[EmissionLine], Fraction]) -> Fraction:
    return sum((Fraction(line.kgco2e) * weight(line) for line in lines), Fraction(0))
