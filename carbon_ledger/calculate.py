"""Formulas: activity quantity x factor = emission, exact until the one rounding at the end.

Belongs here: the arithmetic of a line, with the formula's id and its source. Does not: the choice
of factor (carbon_ledger.factor_book.book), validation of the event, posting.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.factor_book.use import Weighed
from carbon_ledger.greenhouse import GasSplit
from carbon_ledger.quantities import exact_product, quantize_posted
from carbon_ledger.workings import Formula

LOCATION_BASED: Final = Formula(
    formula_id="S2-LB",
    text="kgCO2e = kWh consumed x location-based factor (kgCO2e per kWh)",
    citation="GHG Protocol Scope 2 Guidance (2015), chapter 6, location-based method",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Emission:
    """A posted figure: kgCO2e and, where published, kg of each gas, all at 12 decimals.

    The gases are masses, not CO2e; None means the factor does not publish that gas, never zero.
    """

    kgco2e: Decimal
    kg_co2: Decimal | None
    kg_ch4: Decimal | None
    kg_n2o: Decimal | None
    gas_split: GasSplit
    formula_id: str
    factor_id: str
    factor_version: int


def posted_product(quantity: Decimal, per_unit: Decimal, *, field: str) -> Decimal:
    """quantity x per_unit, exact, then rounded once, half-even, to 12 decimals.

    Raises RejectedRecord `out_of_range` or `not_finite`, naming `field`.
    """
    return quantize_posted(exact_product(quantity, per_unit, field=field), field=field)


def location_based(energy_kwh: Decimal, match: FactorMatch, weighed: Weighed) -> Emission:
    """Location-based scope 2 emission of `energy_kwh`, by formula S2-LB.

    CO2e is that of `weighed`, and each gas comes from its own published figure, so the gases of a
    rounded publication need not add up to it. The sign is the caller's matter. Raises
    RejectedRecord `out_of_range` where numeric(38,12) cannot hold a figure, BrokenInvariant
    `factor_unit` where the factor is not per kWh.
    """
    factor = match.factor
    if factor.unit != "kWh":
        raise BrokenInvariant(
            "factor_unit", f"{factor.factor_id} is per {factor.unit}, but the activity is in kWh"
        )
    return Emission(
        kgco2e=posted_product(energy_kwh, weighed.kgco2e_per_unit, field="energy_kwh"),
        kg_co2=_gas(energy_kwh, factor.kg_co2_per_unit),
        kg_ch4=_gas(energy_kwh, factor.kg_ch4_per_unit),
        kg_n2o=_gas(energy_kwh, factor.kg_n2o_per_unit),
        gas_split=factor.gas_split,
        formula_id=LOCATION_BASED.formula_id,
        factor_id=factor.factor_id,
        factor_version=factor.version,
    )


def _gas(energy_kwh: Decimal, per_unit: Decimal | None) -> Decimal | None:
    return None if per_unit is None else posted_product(energy_kwh, per_unit, field="energy_kwh")
