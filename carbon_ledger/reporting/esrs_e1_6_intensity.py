"""GHG intensity per net revenue, beside the table of ESRS E1-6, and what its revenue is of.

Belongs here: paragraphs 53 to 55 and AR 53 to 55 of ESRS E1. Does not: the totals (esrs_e1_6),
where revenue comes from (reference data).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from carbon_ledger.reporting.esrs_profile import Profile, tag
from carbon_ledger.reporting.inputs import ReportInputs, Revenue
from carbon_ledger.reporting.tables import TONNES, Cell, Column, Maker, Row, Table

CITATION: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772), paragraphs 53-55, AR 53-55"
BASES: Final[dict[str, str]] = {
    "location": "GHGEmissionsIntensityLocationbasedTotalGHGEmissionsPerNetRevenue",
    "market": "GHGEmissionsIntensityMarketbasedTotalGHGEmissionsPerNetRevenue",
}


@dataclass(kw_only=True)
class Intensity:
    """Makes the table with the cells of `maker`, which are of the emissions' section."""

    inputs: ReportInputs
    profile: Profile
    maker: Maker

    def table(self, totals: Mapping[str, Cell]) -> Table:
        """Total emissions by each basis per net revenue, and the revenue's reconciliation."""
        year = self.inputs.fiscal_year
        revenue = self.inputs.revenues.get(year)
        name = self._id("revenue")
        if revenue is None:
            rows = [
                self._row(
                    basis,
                    self.maker.empty(self._id(basis), "no net revenue is registered for the year"),
                )
                for basis in BASES
            ]
        else:
            used = self.maker.stated(
                name,
                revenue.amount,
                source=revenue.source,
                unit=revenue.currency,
                tag=tag(self.profile, "NetRevenueUsedToCalculateGHGIntensity"),
            )
            rows = [
                self._row(
                    basis,
                    self.maker.quotient(
                        self._id(basis),
                        totals[basis],
                        used,
                        unit=f"{TONNES}/{revenue.currency}",
                        tag=tag(self.profile, concept),
                    ),
                )
                for basis, concept in BASES.items()
            ]
            rows += self._reconciled(revenue, used)
        return Table(
            table_id=f"{self.profile.disclosures['emissions']}-intensity",
            title="GHG intensity based on net revenue",
            columns=(Column(column_id="value", heading=str(year)),),
            rows=tuple(rows),
            citation=CITATION,
        )

    def _reconciled(self, revenue: Revenue, used: Cell) -> list[Row]:
        """Net revenue used, other net revenue, and that of the financial statements (AR 55): all of
        it is used, since every scope is in the numerator.
        """
        whole = self.maker.stated(
            self._id("revenue_total"),
            revenue.amount,
            source=revenue.source,
            unit=revenue.currency,
            tag=tag(self.profile, "Revenue"),
        )
        other = self.maker.difference(
            self._id("revenue_other"),
            whole,
            used,
            unit=revenue.currency,
            tag=tag(self.profile, "NetRevenueOtherThanUsedToCalculateGHGIntensity"),
        )
        labels = {
            "revenue": ("Net revenue used to calculate GHG intensity", used),
            "revenue_other": ("Net revenue (other)", other),
            "revenue_total": ("Total net revenue (in financial statements)", whole),
        }
        return [
            Row(row_id=row_id, label=label, cells={"value": cell}, is_total=cell is whole)
            for row_id, (label, cell) in labels.items()
        ]

    def _row(self, basis: str, cell: Cell) -> Row:
        label = f"Total GHG emissions ({basis}-based) per net revenue"
        return Row(row_id=basis, label=label, cells={"value": cell})

    def _id(self, row_id: str) -> str:
        return f"{self.profile.disclosures['emissions']}/intensity/{row_id}"
