"""Greenhouse gases: the vector a factor or a figure is split into, and what each gas weighs.

Belongs here: gas vectors, sets of global warming potentials. Does not: where the potentials come
from (factor_seeds), factors, formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.errors import RejectedRecord

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


# Gases by the names used in lines, reports and `other_gases`. Methane is kept apart by origin where
# the factor says so, because the sixth assessment report weighs the two differently.
CO2: Final = "CO2"
CO2_BIOGENIC: Final = "CO2_biogenic"
CO2_LAND_USE: Final = "CO2_land_use"
CH4: Final = "CH4"
CH4_FOSSIL: Final = "CH4_fossil"
CH4_NON_FOSSIL: Final = "CH4_non_fossil"
N2O: Final = "N2O"
METHANES: Final = (CH4, CH4_FOSSIL, CH4_NON_FOSSIL)

# What contrails and high-altitude emissions of flights add, in kg CO2e: no gas, but kept beside the
# gases because it is reported apart (ISO 14083, aviation; not checked against the source's text).
RADIATIVE_FORCING: Final = "radiative_forcing_CO2e"

# Outside the scopes: reported beside them, never in a total (GHG Protocol Corporate Standard,
# chapter 9; ESRS E1 AR 43(c), 45(e), 46(j)).
MEMO_GASES: Final = frozenset({CO2_BIOGENIC, RADIATIVE_FORCING})


@dataclass(frozen=True, slots=True)
class Gases:
    """Kilograms of each gas by its name, in name order; a gas that is not there is not known.

    In a factor the figures are kg of the gas per unit. Nothing here is CO2e.
    """

    kg: tuple[tuple[str, Decimal], ...] = ()

    @classmethod
    def of(cls, masses: Mapping[str, Decimal | None]) -> Gases:
        """The gases of `masses`, without those that are None."""
        return cls(tuple(sorted((gas, kg) for gas, kg in masses.items() if kg is not None)))

    def get(self, gas: str) -> Decimal | None:
        """kg of one gas, None where it is not known."""
        return dict(self.kg).get(gas)

    def __iter__(self) -> Iterator[tuple[str, Decimal]]:
        return iter(self.kg)

    def __len__(self) -> int:
        return len(self.kg)


@dataclass(frozen=True, kw_only=True, slots=True)
class Potential:
    """A global warming potential over 100 years, kgCO2e per kg, and what is remarkable about it."""

    gas: str
    gwp_set: str
    value: Decimal
    source_id: str
    flag: str | None = None


class GwpTable:
    """Global warming potentials over 100 years by set and gas; read-only.

    `values` has (set, gas) -> (kgCO2e per kg, source id), `remarks` the flag of those that have
    one. Carbon dioxide from land use counts as carbon dioxide; biogenic carbon dioxide has no
    potential here because it enters no total.
    """

    def __init__(
        self,
        values: Mapping[tuple[str, str], tuple[Decimal, str]],
        remarks: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._values = dict(values)
        self._remarks = dict(remarks or {})
        self.sets = tuple(sorted({gwp_set for gwp_set, _ in self._values}))

    def potential(self, gas: str, gwp_set: str) -> Potential:
        """The potential of `gas` in `gwp_set`.

        Raises RejectedRecord `unknown_gwp_set` or `unknown_gas`. Where a set does not tell methane
        by origin, or its figure for one origin has no source here, the set's figure for methane is
        taken, flagged `gwp_methane_origin_not_distinguished`.
        """
        if gwp_set not in self.sets:
            raise RejectedRecord(
                "unknown_gwp_set",
                f"{gwp_set!r} is no set of global warming potentials",
                field="gwp_set",
                value=gwp_set,
                valid=", ".join(self.sets),
            )
        name = CO2 if gas == CO2_LAND_USE else gas
        found = self._values.get((gwp_set, name))
        if found is not None and gas not in MEMO_GASES:
            return Potential(
                gas=gas,
                gwp_set=gwp_set,
                value=found[0],
                source_id=found[1],
                flag=self._remarks.get((gwp_set, name)),
            )
        methane = self._values.get((gwp_set, CH4))
        if gas in METHANES and methane is not None:
            return Potential(
                gas=gas,
                gwp_set=gwp_set,
                value=methane[0],
                source_id=methane[1],
                flag="gwp_methane_origin_not_distinguished",
            )
        known = sorted(name for one_set, name in self._values if one_set == gwp_set)
        raise RejectedRecord(
            "unknown_gas",
            f"{gas!r} has no global warming potential in {gwp_set}",
            field="gas",
            value=gas,
            valid=", ".join(known[:40]) + (" …" if len(known) > 40 else ""),
        )
