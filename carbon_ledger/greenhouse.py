"""Greenhouse gases: the vector a factor or a figure is split into, and the names of GWP sets.

Belongs here: what a gas vector is and which GWP sets are known by name. Does not: factors,
formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

GwpSet = Literal["SAR", "AR4", "AR5", "AR6", "unstated", "not_applicable"]

# IPCC assessment reports whose 100-year potentials a factor can embed. `unstated`: the publisher
# does not say; `not_applicable`: the figure is CO2 alone, so no potential went into it.
GWP_SETS: Final[tuple[GwpSet, ...]] = ("SAR", "AR4", "AR5", "AR6", "unstated", "not_applicable")

GasSplit = Literal["available", "not_available"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GasVector:
    """Mass per gas in kg (of the gas, not CO2e), or kg per unit in a factor; None = not published.

    None is never zero: a gas that was measured and found absent is Decimal(0).
    """

    kg_co2: Decimal | None
    kg_ch4: Decimal | None
    kg_n2o: Decimal | None

    @property
    def split(self) -> GasSplit:
        """`available` only if all three gases are known, so CO2e can be recomputed."""
        known = (self.kg_co2, self.kg_ch4, self.kg_n2o)
        return "not_available" if any(mass is None for mass in known) else "available"
