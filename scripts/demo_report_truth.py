"""What the demo company's reports must say, worked out apart from the ledger.

Belongs here: both reports together, and how their figures are written. Does not: their cells
(scripts.demo_esrs_truth, scripts.demo_cdp_truth), anything of the ledger's code; a test holds this
module to the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from scripts.demo_cdp_truth import CdpCells
from scripts.demo_esrs_truth import EsrsCells
from scripts.demo_period_truth import period_lines
from scripts.demo_published import Row, TruthError
from scripts.demo_sums import Cells, Lines, Sums
from scripts.demo_truth import Fields, standing_lines, told_of


def cells_of(sums: Sums, reference: Mapping[str, Sequence[Row]], year: int) -> dict[str, Cells]:
    """By report its cells; words are not here."""
    return {
        "esrs_e1": EsrsCells(sums=sums, reference=reference, year=year).made(),
        "cdp_7": CdpCells(sums=sums, reference=reference, year=year).made(),
    }


def truth_of_reports(
    known: Sequence[tuple[str, Fields]],
    reference: Mapping[str, Sequence[Row]],
    year: int,
    restated: Sequence[Row] = (),
) -> dict[str, Cells]:
    """By report the cells of a fiscal year, from every activity of that year and the one before;
    `restated` as in truth_of, here posted for all its years.
    """
    lines = standing_lines(told_of(known, reference, restated))
    lines += period_lines(lines, reference, restated)
    return cells_of(Lines(lines=lines), reference, year)


def as_text(cells: Cells) -> dict[str, str | None]:
    """Exact decimal text of every figure, None where there is none."""
    return {
        cell_id: None if figure is None else f"{_decimal(figure):f}"
        for cell_id, figure in sorted(cells.items())
    }


def _decimal(figure: Fraction) -> Decimal:
    scaled = figure * 10**40
    if scaled.denominator != 1:
        raise TruthError(f"{figure} has more than 40 decimals")
    return Decimal(scaled.numerator).scaleb(-40).normalize()
