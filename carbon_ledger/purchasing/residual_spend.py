"""The average factor for spend of which the sector is not known.

Belongs here: the mean over the sectors of an edition. Does not: whether unmapped spend is booked at
all (Policy.unmapped_spend), sectors (carbon_ledger.purchasing.spend_routes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import FactorBook, FactorMatch
from carbon_ledger.factor_book.match import gap_of, vintage_word
from carbon_ledger.factor_book.rows import Factor, sealed
from carbon_ledger.inventory import Inventory
from carbon_ledger.purchasing.spend_routes import SPEND, route_of_sector
from carbon_ledger.quantities import PRODUCT, ROUNDING

RESIDUAL_SECTOR: Final = "average"
# A mean is a new datum, not a step of a chain: it is rounded once, to 18 decimals, when it is made.
_MEAN_QUANTUM: Final = Decimal("1E-18")


def residual_match(on: date, inventory: Inventory) -> FactorMatch:
    """The plain mean of the edition's sectors that no other stream counts, as a factor of its own.

    Its id names the edition, its note how many sectors it is of. Raises RejectedRecord
    `residual_factor_missing` where the edition has none, or they are not of one currency, price
    year, price basis and country, and `factor_vintage_gap` as for any other factor. A choice of
    this project; the standard asks only that what is estimated is stated (Scope 3 Standard,
    chapter 7).
    """
    factor = _mean_of(inventory.book, inventory.policy.spend_factor_version)
    gap = gap_of(factor, on.year)
    if gap is not None and abs(gap) > inventory.policy.max_vintage_gap_years:
        raise RejectedRecord(
            "factor_vintage_gap",
            f"the average of edition {inventory.policy.spend_factor_version} is {abs(gap)} years "
            "from the purchase",
            field="timestamp",
            value=on.isoformat(),
            valid=f"at most {inventory.policy.max_vintage_gap_years} years",
        )
    return FactorMatch(
        factor=factor,
        release_id=inventory.book.release_id,
        how_matched=f"any/average/{vintage_word(gap)}",
        geography_level="any",
        boundary_level=factor.basis,
        vintage_gap_years=gap,
        boundary_substitute=False,
        flags=(*factor.quality_flags, *(("vintage_gap",) if gap else ())),
    )


@lru_cache(maxsize=8)
def _mean_of(book: FactorBook, version: str) -> Factor:
    newest: dict[str, Factor] = {}
    for row in book.rows_of("spend"):
        newest[row.factor_id] = row
    rows = [
        row
        for row in newest.values()
        if (selectors := dict(row.selectors)).get("version") == version
        and route_of_sector(selectors.get("naics_code", "")) == SPEND
    ]
    kinds = {(row.currency, row.price_year, row.price_basis, row.country_iso2) for row in rows}
    if len(kinds) != 1:
        raise RejectedRecord(
            "residual_factor_missing",
            f"{len(rows)} sectors of edition {version} are of {len(kinds)} currencies, price "
            "years, bases and countries",
            field="spend_factor_version",
            value=version,
            valid="an edition of the spend factors that is loaded whole, or policy reject",
        )
    first = rows[0]
    mean = _mean([row.kgco2e_per_unit for row in rows])
    if mean is None:
        raise BrokenInvariant("factor_value", f"a sector of edition {version} has no figure")
    return sealed(
        replace(
            first,
            factor_id=f"spend:{first.country_iso2}:{RESIDUAL_SECTOR}:{version}",
            version=1,
            selectors=(("naics_code", RESIDUAL_SECTOR), ("version", version)),
            co2e_origin="mean_of_sectors",
            quality_flags=("residual_average",),
            note=f"plain mean of {len(rows)} sectors of release {book.release_id}",
            kgco2e_per_unit=mean,
            kg_co2_per_unit=_mean([row.kg_co2_per_unit for row in rows]),
            kg_ch4_per_unit=_mean([row.kg_ch4_per_unit for row in rows]),
            kg_n2o_per_unit=_mean([row.kg_n2o_per_unit for row in rows]),
        )
    )


def _mean(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return None
    total = Decimal(0)
    for value in known:
        total = PRODUCT.add(total, value)
    return ROUNDING.divide(total, Decimal(len(known))).quantize(_MEAN_QUANTUM, context=ROUNDING)
