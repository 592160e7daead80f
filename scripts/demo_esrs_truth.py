"""What ESRS E1-5 and E1-6 of the demo company must say, cell by cell.

Belongs here: which lines each cell takes and what is made of them, written from docs/reports.md.
Does not: adding up (scripts.demo_sums), anything of the ledger's code; a test holds this module to
the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from scripts.demo_sums import (
    CATEGORIES,
    GROSS,
    Cells,
    Figure,
    ReportCells,
    Take,
    biogenic_takes,
    category_take,
    difference,
    gross_takes,
    scope_3_take,
    sum_of,
    times,
)


@dataclass(kw_only=True)
class EsrsCells(ReportCells):
    """Every figure of E1-5 and E1-6."""

    def made(self) -> Cells:
        """By the ids that the report has."""
        self._energy()
        self._gross()
        self._beside()
        self._instruments()
        self._intensities()
        return self.cells

    # ---- ESRS E1-6

    def _gross(self) -> None:
        years = {"base_year": self.base_year, "current": self.year, "comparative": self.year - 1}
        for column, year in years.items():
            self._gross_column(column, year)
        left = (Fraction(100) - Fraction(self._told("target_pct") or 0)) / 100
        for row in (*GROSS, "scope_3", *self._reported(), "total_location", "total_market"):
            now, before = (self.cells[f"E1-6/{row}/{one}"] for one in ("current", "comparative"))
            self._quotient(f"E1-6/{row}/change_pct", now, before)
            for target in self._statements("target_pct"):
                base = self.cells[f"E1-6/{row}/base_year"]
                self.put(f"E1-6/{row}/target_{target['item']}", times(base, left))

        for target in self._statements("target_pct")[:1]:
            reduction = self.put("E1-6/annual_target_pct/reduction", Fraction(target["value"]))
            apart = Fraction(int(target["item"]) - self.base_year)
            span = self.put("E1-6/annual_target_pct/years", apart)
            for row in (*GROSS, "scope_3", *self._reported(), "total_location", "total_market"):
                self._quotient(f"E1-6/{row}/annual_target_pct", reduction, span, scale=1)

    def _gross_column(self, column: str, year: int) -> None:
        found = {
            row: self.tonnes(f"E1-6/{row}/{column}", take)
            for row, take in gross_takes(year).items()
        }
        categories = [
            self.tonnes(f"E1-6/{row}/{column}", category_take(int(row[-2:]), year))
            for row in self._reported()
        ]
        found["scope_3"] = self._add(f"E1-6/scope_3/{column}", categories)
        for basis in ("location", "market"):
            parts = [found[one] for one in ("scope_1", f"scope_2_{basis}", "scope_3")]
            self._add(f"E1-6/total_{basis}/{column}", parts)
        name = f"E1-6/scope_1_regulated_pct/{column}"
        for one in self._statements("scope_1_regulated", year):
            self.put(f"{name}/{one['item']}", Fraction(one["value"]))
        regulated = self._told("scope_1_regulated", year=year)
        if regulated is not None:
            self.put(f"{name}/tonnes", regulated)
        self._quotient(name, regulated, found["scope_1"])

    def _reported(self) -> list[str]:
        """Categories that have lines in one of the years shown and are not left out."""
        left_out = {one["item"] for one in self._statements("category_excluded")}
        years = (self.base_year, self.year - 1, self.year)
        return [
            f"category_{number:02}"
            for number in CATEGORIES
            if str(number) not in left_out
            and any(self.sums.of(category_take(number, year)) is not None for year in years)
        ]

    def _beside(self) -> None:
        year = self.year
        scope_3 = scope_3_take(year)
        whole = self.tonnes("E1-6/screening/scope_3", scope_3)
        for number in CATEGORIES:
            name = f"E1-6/screening/category_{number:02}"
            figure = self.tonnes(f"{name}/figure", category_take(number, year))
            self._quotient(f"{name}/share", figure, whole)
        for country in self.sums.values("country", year):
            takes = {
                row: replace(take, country=country)
                for row, take in {**gross_takes(year), "scope_3": scope_3}.items()
            }
            if any(self.sums.of(take) is not None for take in takes.values()):
                for row, take in takes.items():
                    self.tonnes(f"E1-6/country/{country}/{row}", take)
        for scope, taken in biogenic_takes(year).items():
            self.tonnes(f"E1-6/beside/biogenic_scope_{scope}", taken)
        for name, take in gross_takes(self.year).items():
            taken = replace(take, sites=self._sites(GROSS))
            self.tonnes(f"E1-6/group/accounting_group/{name}", taken)
        whole = self.tonnes("E1-6/beside/scope_3", scope_3)
        primary = self.tonnes("E1-6/beside/scope_3_primary", replace(scope_3, measure="primary"))
        self._quotient("E1-6/beside/primary_share", primary, whole)
        located = gross_takes(year)["scope_2_location"]
        self.tonnes("E1-6/beside/substituted", replace(located, measure="substitute"))

    def _instruments(self) -> None:
        """The only instrument that covers anything is an unbundled certificate of the year."""
        market = gross_takes(self.year)["scope_2_market"]
        own = Take(year=self.year, activities=("electricity:market",), instrument="own")
        whole = difference(
            self.sums.of(replace(market, measure="amount")),
            self.sums.of(replace(own, measure="amount")),
        )
        energy = self.put("E1-6/instruments/energy", times(whole, Fraction(1, 1000)))
        emissions = self.tonnes("E1-6/instruments/emissions", market)
        covered = replace(market, instrument=f"go-{self.year}", measure="amount")
        for row in ("certificate_unbundled", "unbundled", "instruments"):
            amount = self.tonnes(f"E1-6/instruments/{row}/amount", covered)
            self._quotient(f"E1-6/instruments/{row}/share", amount, energy)
        for row in ("certificate_bundled", "ppa", "supplier_rate", "bundled", "bundled_emissions"):
            self.put(f"E1-6/instruments/{row}/amount", Fraction(0))
            of = emissions if row == "bundled_emissions" else energy
            self._quotient(f"E1-6/instruments/{row}/share", Fraction(0), of)

    def _intensities(self) -> None:
        revenue = self.put("E1-6/intensity/revenue", self._revenue("net_revenue"))
        self.put("E1-6/intensity/revenue_total", revenue)
        self.put("E1-6/intensity/revenue_other", None if revenue is None else Fraction(0))
        for basis in ("location", "market"):
            total = self.cells[f"E1-6/total_{basis}/current"]
            self._quotient(f"E1-6/intensity/{basis}", total, revenue, scale=1)

    # ---- ESRS E1-5

    def _energy(self) -> None:
        for column, year in (("comparative", self.year - 1), ("current", self.year)):
            found = self.energy(year)
            for row in ("coal", "other_fossil", "nuclear", "fuel_renewable"):
                found[row] = None
            fossil = ("coal", "oil", "natural_gas", "other_fossil", "purchased_fossil")
            found["fossil"] = sum_of(found[one] for one in fossil)
            renewable = ("fuel_renewable", "purchased_renewable", "self_generated")
            found["renewable"] = sum_of(found[one] for one in renewable)
            whole = ("fossil", "nuclear", "renewable")
            found["total"] = sum_of(found[one] for one in whole)
            for row, figure in found.items():
                self.put(f"E1-5/{row}/{column}", figure)
            for row in whole:
                self._quotient(f"E1-5/{row}_share/{column}", found[row], found["total"])
            for kind in ("non_renewable", "renewable"):
                subject = f"energy_production_{kind}"
                self._stated_parts(f"E1-5/{subject}/{column}", subject, year)
        energy = self._stated_parts(
            "E1-5/intensity/energy", "high_climate_impact_energy", self.year
        )
        used = self.put(
            "E1-5/intensity/revenue-used", self._revenue("net_revenue_high_climate_impact")
        )
        all_of_it = self.put("E1-5/intensity/revenue", self._revenue("net_revenue"))
        self.put("E1-5/intensity/revenue-other", difference(all_of_it, used))
        self._quotient("E1-5/intensity/per-revenue", energy, used, scale=1)

    def _stated_parts(self, cell_id: str, subject: str, year: int) -> Figure:
        for one in self._statements(subject, year):
            self.put(f"{cell_id}/{one['item']}", Fraction(one["value"]))
        return self.put(cell_id, self._told(subject, year=year))
