"""The share and types of contractual instruments in scope 2, beside the table of ESRS E1-6.

Belongs here: paragraph 49(b) and AR 45(d) of ESRS E1. Does not: which instrument covers which kWh
(carbon_ledger.energy.scope2_waterfall).

The share of instruments, and of bundled and unbundled ones, is of the energy of market-based
scope 2 (kWh of electricity, heat, steam and cooling that was purchased): most instruments have a
rate of zero, so that a share of emissions would say nothing of them. E1-6_20 alone asks for a share
of the market-based emissions, and gets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from carbon_ledger.energy.meters import S2_HEAT
from carbon_ledger.energy.scope2 import S2_GRID_AVERAGE, S2_INSTRUMENT, S2_RESIDUAL, S2_SAME
from carbon_ledger.reporting.cube import SCOPE_2_MARKET, Measure, Selection, selected
from carbon_ledger.reporting.esrs_profile import Profile, tag
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.tables import (
    MEGAWATT_HOURS,
    PERCENT,
    TONNES,
    Cell,
    Column,
    Maker,
    Row,
    Table,
)

AR_45: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772), paragraph 49(b), AR 45(d)"
HUNDRED: Final = Decimal(100)
# A supplier's rate and a purchase agreement sell energy together with its attributes.
KINDS: Final[dict[str, str]] = {
    "certificate_bundled": "Energy attribute certificates, bundled with the energy",
    "ppa": "Power purchase agreements",
    "supplier_rate": "Supplier-specific rates",
    "certificate_unbundled": "Energy attribute certificates, unbundled",
}
BUNDLED: Final = ("certificate_bundled", "ppa", "supplier_rate")
UNBUNDLED: Final = ("certificate_unbundled",)
_RELATED: Final = "InRelationToScope2GHGEmissions"
CONCEPTS: Final[dict[str, str]] = {
    "instruments": "PercentageOfContractualInstrumentsScope2GHGEmissions",
    "bundled_emissions": "PercentageOfMarketbasedScope2GHGEmissionsLinkedToPurchasedElectricity"
    "BundledWithInstruments",
    "bundled": "PercentageOfContractualInstrumentsUsedForSaleAndPurchaseOfEnergyBundledWith"
    f"AttributesAboutEnergyGeneration{_RELATED}",
    "unbundled": "PercentageOfContractualInstrumentsUsedForSaleAndPurchaseOfUnbundledEnergy"
    f"AttributeClaims{_RELATED}",
}
# Energy that was purchased: own generation is not.
PURCHASED: Final = Selection(
    scopes=(2,),
    bases=("market",),
    units=("kWh",),
    formula_ids=tuple(
        one.formula_id for one in (S2_INSTRUMENT, S2_RESIDUAL, S2_GRID_AVERAGE, S2_SAME, S2_HEAT)
    ),
)
_PER_KWH: Final = Decimal("0.001")


@dataclass(kw_only=True)
class Instruments:
    """Makes the table with the cells of `maker`, which are of the emissions' section."""

    inputs: ReportInputs
    profile: Profile
    maker: Maker

    def table(self) -> Table:
        """Energy covered by each kind of instrument, and the shares that are asked for."""
        year = self.inputs.fiscal_year
        self.name = f"{self.profile.disclosures['emissions']}/instruments"
        used = {
            row.factor_id
            for row in selected(self.inputs.cubes.get(year, ()), PURCHASED)
            if row.formula_id == S2_INSTRUMENT.formula_id
        }
        kind_of = self.inputs.instrument_kinds
        energy = self._entries("energy", PURCHASED, "quantity")
        emissions = self._entries("emissions", SCOPE_2_MARKET, "kgco2e")
        rows = [
            self._row(kind, label, {one for one in used if kind_of.get(one) == kind}, energy)
            for kind, label in KINDS.items()
        ]
        bundled = {one for one in used if kind_of.get(one) in BUNDLED}
        rows += [
            self._row("bundled", "Energy bundled with attributes", bundled, energy),
            self._row(
                "unbundled",
                "Unbundled energy attribute claims",
                {one for one in used if kind_of.get(one) in UNBUNDLED},
                energy,
            ),
            self._row("instruments", "All contractual instruments", used, energy),
            self._row(
                "bundled_emissions",
                "Market-based scope 2 emissions linked to electricity bundled with instruments",
                bundled,
                emissions,
                "kgco2e",
            ),
        ]
        unknown = sorted(used - set(kind_of))
        return Table(
            table_id=f"{self.profile.disclosures['emissions']}-instruments",
            title="Contractual instruments in scope 2",
            columns=(
                Column(column_id="amount", heading=str(year)),
                Column(column_id="share", heading="Share of market-based scope 2", unit=PERCENT),
            ),
            rows=tuple(rows),
            notes=(
                "Shares are of the energy purchased; the last row is a share of the emissions.",
                *(f"Of what kind {one} is, is not registered." for one in unknown),
            ),
            citation=AR_45,
        )

    def _row(
        self, row_id: str, label: str, factors: set[str], whole: Cell, measure: Measure = "quantity"
    ) -> Row:
        if factors:
            only = Selection(
                scopes=(2,),
                bases=("market",),
                factor_ids=tuple(sorted(factors)),
                formula_ids=(S2_INSTRUMENT.formula_id,),
            )
            amount = self._entries(f"{row_id}/amount", only, measure)
        else:
            # The whole is measured, and all of it is without such an instrument.
            amount = self.maker.difference(
                f"{self.name}/{row_id}/amount", whole, whole, unit=whole.unit
            )
        share_id = f"{self.name}/{row_id}/share"
        concept = CONCEPTS.get(row_id)
        if concept is None:
            share = self.maker.quotient(share_id, amount, whole, unit=PERCENT, scale=HUNDRED)
        else:
            share = self.maker.quotient(
                share_id,
                amount,
                whole,
                unit=PERCENT,
                scale=HUNDRED,
                tag=tag(self.profile, concept),
            )
        return Row(row_id=row_id, label=label, cells={"amount": amount, "share": share})

    def _entries(self, place: str, selection: Selection, measure: Measure) -> Cell:
        return self.maker.of_entries(
            f"{self.name}/{place}",
            self.inputs.fiscal_year,
            selection,
            measure=measure,
            unit=TONNES if measure == "kgco2e" else MEGAWATT_HOURS,
            scale=_PER_KWH,
        )
