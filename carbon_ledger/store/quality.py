"""How good the figures of the ledger are: totals with their data quality and share of primary data.

Belongs here: asking the ledger for its kinds of quality, and their roll-up. Does not: what a score
means or weighs (carbon_ledger.data_quality), which scores a line has (the calculators).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Final

from psycopg.rows import class_row

from carbon_ledger.data_quality import PrimaryLine, RollUp, Scores, primary_share, roll_up
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.purchasing.primary_data import SUPPLIER_BASIS
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.store.connect import query
from carbon_ledger.store.read import BY
from carbon_ledger.store.rows import Connection

QUALITY_BY: Final = (*BY, "method")
FIRST_YEAR, LAST_YEAR = 2000, 9999


@dataclass(frozen=True, kw_only=True)
class QualityGroup:
    """Entries that stand and are alike in everything that is asked for; kgCO2e, exact.

    `weight` is the sum of absolute kgCO2e, `kgco2e` the net. Scores as data_quality.Scores.text.
    """

    key: str
    scope: int
    category: int | None
    basis: str
    activity_scores: str | None
    factor_scores: str | None
    primary_share: Decimal | None
    kgco2e: Decimal
    weight: Decimal
    entries: int


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """A total in kgCO2e, and how good it is; None where nothing of it is scored or has a share.

    `activity` and `factor` are rolled up apart: they are two inputs, and improved by different
    people. `primary` and `supplier_sourced` are shares of the absolute kgCO2e that has a share of
    primary data, which is `primary_known` of the whole.
    """

    key: str
    scope: int
    category: int | None
    basis: str
    entries: int
    kgco2e: Decimal
    activity: RollUp | None
    factor: RollUp | None
    primary: Fraction | None
    supplier_sourced: Fraction | None
    primary_known: Fraction


def quality(
    conn: Connection,
    *,
    by: str = "total",
    year: int | None = None,
    as_of: datetime | None = None,
    organization: str | None = None,
) -> list[QualityRow]:
    """Totals by one of QUALITY_BY, one row per scope, category and basis, with their quality.

    Of the local dates of `year` (None: of all), as known at `as_of` (None: now). Exact. Raises
    ConfigurationError `unknown_grouping`, `year`.
    """
    if by not in QUALITY_BY:
        raise ConfigurationError(
            "unknown_grouping", f"quality by {by!r} is not known; valid are {', '.join(QUALITY_BY)}"
        )
    if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
        raise ConfigurationError(
            "year", f"{year} is no year of the ledger; valid are {FIRST_YEAR} to {LAST_YEAR}"
        )
    with conn.cursor(row_factory=class_row(QualityGroup)) as cursor:
        groups = cursor.execute(
            query("quality_groups"),
            {"by": by, "year": year, "as_of": as_of, "organization": organization},
        ).fetchall()
    alike = groupby(groups, key=lambda one: (one.key, one.scope, one.category, one.basis))
    return [rolled_up(list(group)) for _, group in alike]


def rolled_up(groups: Sequence[QualityGroup]) -> QualityRow:
    """The row of groups of one key, scope, category and basis."""
    whole = _sum(one.weight for one in groups)
    # Where all entries are of 0 kg each weighs the same, as in the roll-up of single lines.
    weights = [one.weight if whole else Decimal(one.entries) for one in groups]
    shares = [
        (weight, one)
        for weight, one in zip(weights, groups, strict=True)
        if one.primary_share is not None
    ]
    primary = primary_share(
        [
            PrimaryLine(
                kgco2e=weight,
                is_supplier_sourced=one.basis == SUPPLIER_BASIS
                or (one.scope == 3 and bool(one.primary_share)),
                declared_share=one.primary_share,
            )
            for weight, one in shares
        ]
    )
    activity = [_scores(one.activity_scores) for one in groups]
    factor = [_scores(one.factor_scores) for one in groups]
    first = groups[0]
    return QualityRow(
        key=first.key,
        scope=first.scope,
        category=first.category,
        basis=first.basis,
        entries=sum(one.entries for one in groups),
        kgco2e=_sum(one.kgco2e for one in groups),
        activity=roll_up(zip(weights, activity, strict=True)),
        factor=roll_up(zip(weights, factor, strict=True)),
        primary=primary.primary,
        supplier_sourced=primary.supplier_sourced,
        primary_known=Fraction(_sum(weight for weight, _ in shares)) / Fraction(_sum(weights)),
    )


def _scores(text: str | None) -> Scores | None:
    return None if text is None else Scores.of_text(text)


def _sum(values: Iterable[Decimal]) -> Decimal:
    # Not `sum`, which rounds to the ambient context's 28 digits.
    total = Decimal(0)
    for value in values:
        total = PRODUCT.add(total, value)
    return total
