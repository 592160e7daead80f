"""What module 7 of CDP's questionnaire must say of the demo company, cell by cell.

Belongs here: which lines each cell takes and what is made of them, written from docs/reports.md.
Does not: adding up (scripts.demo_sums), anything of the ledger's code; a test holds this module to
the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from scripts.demo_sums import (
    CATEGORIES,
    GROSS,
    Cells,
    Figure,
    ReportCells,
    biogenic_takes,
    category_take,
    difference,
    gross_takes,
    scope_3_take,
    sum_of,
    times,
)

# Potentials over 100 years of AR6 (IPCC, table 7.15), and what the ledger calls the masses.
GASES = {"CO2": Fraction(1), "CH4": Fraction("27.9"), "N2O": Fraction(273)}
# Activities of CDP 7.17.3 and 7.20.3, and what is done there.
ACTIVITIES = {
    "Stationary combustion": ("fuel:natural_gas",),
    "Mobile combustion": ("vehicle_fuel:diesel_blend",),
    "Purchased electricity": ("electricity:grid", "electricity:market", "self_generated:solar"),
}


@dataclass(kw_only=True)
class CdpCells(ReportCells):
    """Every figure of module 7."""

    def made(self) -> Cells:
        """By the ids that the report has."""
        self._questions_of_gross()
        self._categories()
        self._changes()
        self._breakdowns()
        self._gases()
        self._questions_of_energy()
        self._metrics()
        return self.cells

    # ---- CDP 7.5 to 7.9

    def _questions_of_gross(self) -> None:
        rows = {"reporting_year": self.year, "past_year_1": self.year - 1}
        for row, year in rows.items():
            for name, take in gross_takes(year).items():
                self.tonnes(f"CDP-{question_of(name)}/{row}/{name}", take)
        base = {f"category_{one:02}": category_take(one, self.base_year) for one in CATEGORIES}
        for row, take in {**gross_takes(self.base_year), **base}.items():
            self.tonnes(f"CDP-7.5/{row}/emissions", take)
        for one in self._statements("verified_pct"):
            self.put(f"CDP-7.9.1/{one['item']}/verified_pct", Fraction(one["value"]))

    def _categories(self) -> None:
        whole = scope_3_take(self.year)
        self.tonnes("CDP-7.8/all/emissions", whole)
        self.tonnes("CDP-7.11/reporting_year/emissions", whole)
        self.tonnes("CDP-7.11/past_year_1/emissions", replace(whole, year=self.year - 1))
        for number in CATEGORIES:
            name, row = f"CDP-7.8/category_{number:02}", f"category_{number:02}"
            figure = self.tonnes(f"{name}/emissions", category_take(number, self.year))
            last = self.tonnes(f"CDP-7.8.1/past_year_1/{row}", category_take(number, self.year - 1))
            if figure is None:
                continue
            self._quotient(f"{name}/supplier_pct", self._of_suppliers(name, number), figure)
            if last is not None:
                change = self.put(f"CDP-7.11.1/{row}/change", abs(figure - last))
                self._quotient(f"CDP-7.11.1/{row}/percentage", change, last)

    def _of_suppliers(self, name: str, number: int) -> Figure:
        """What suppliers declare, whole, and what else is of primary data of others."""
        told = replace(category_take(number, self.year), basis="supplier")
        whole = self.sums.of(told) or Fraction(0)
        of_all = replace(category_take(number, self.year), measure="primary")
        measured = (self.sums.of(of_all) or Fraction(0)) - (
            self.sums.of(replace(told, measure="primary")) or Fraction(0)
        )
        if measured:
            self.put(f"{name}/of_suppliers_declared", times(whole, Fraction(1, 1000)))
            self.put(f"{name}/of_suppliers_measured", times(measured, Fraction(1, 1000)))
        return self.put(f"{name}/of_suppliers", times(whole + measured, Fraction(1, 1000)))

    # ---- CDP 7.10 and 7.45

    def _scopes_1_and_2(self, basis: str, year: int) -> Figure:
        takes = gross_takes(year)
        other = "market" if basis == "location" else "location"
        scope_1, scope_2, beside = (
            self.sums.of(takes[one]) for one in ("scope_1", f"scope_2_{basis}", f"scope_2_{other}")
        )
        # Scope 1 alone is no figure of both.
        if scope_2 is None and beside is not None:
            return None
        return times(sum_of([scope_1, scope_2]), Fraction(1, 1000))

    def _changes(self) -> None:
        now, before = (self._scopes_1_and_2("location", one) for one in (self.year, self.year - 1))
        # A company's first year has nothing to be compared with.
        if now is None or before is None:
            return
        reasons = {
            one["item"]: Fraction(one["value"]) for one in self._statements("emissions_change")
        }
        for reason, change in reasons.items():
            self.put(f"CDP-7.10.1/{reason}/change", abs(change))
            self._quotient(f"CDP-7.10.1/{reason}/percentage", abs(change), before)
        name = "CDP-7.10.1/Unidentified"
        for at, change in enumerate(reasons.values(), start=1):
            self.put(f"{name}/explained_{at}", change)
        expected = self._add(f"{name}/expected", [before, *reasons.values()])
        rest = difference(now, expected)
        left = self.put(f"{name}/change", None if rest is None else abs(rest))
        self._quotient(f"{name}/percentage", left, before)

    def _metrics(self) -> None:
        for basis in ("location", "market"):
            for year in (self.year, self.year - 1):
                figure = self._scopes_1_and_2(basis, year)
                self.put(f"CDP-7.45/scopes_1_and_2_{basis}/{year}", figure)
        of = ("intensity_denominator", "tonnes of parts")
        metrics = {
            1: [self._revenue("net_revenue", one) for one in (self.year, self.year - 1)],
            2: [self._told(*of, year=one) for one in (self.year, self.year - 1)],
        }
        for at, (below, below_before) in metrics.items():
            for basis in ("location", "market"):
                name = f"CDP-7.45/metric_{at}_{basis}"
                now, before = (
                    self.cells[f"CDP-7.45/scopes_1_and_2_{basis}/{one}"]
                    for one in (self.year, self.year - 1)
                )
                self.put(f"{name}/denominator", below)
                self.put(f"{name}/denominator_before", below_before)
                this = self._quotient(f"{name}/intensity", now, below, scale=1)
                last = self._quotient(f"{name}/intensity_before", before, below_before, scale=1)
                rest = difference(this, last)
                change = None if rest is None else self.put(f"{name}/change", abs(rest))
                self._quotient(f"{name}/change_pct", change, last)

    # ---- CDP 7.12 to 7.23

    def _breakdowns(self) -> None:
        takes = gross_takes(self.year)
        for country in self._countries():
            for name, take in takes.items():
                taken = replace(take, country=country)
                self.tonnes(f"CDP-7.16/{country}/{name}", taken)
        for question, names in (("7.17", GROSS[:1]), ("7.20", GROSS[1:])):
            self._by("1", question, names, {"not registered": self._sites(names)})
            self._by("2", question, names, {one: (one,) for one in self._sites(names)})
            for activity, activities in ACTIVITIES.items():
                parts = {one: replace(takes[one], activities=activities) for one in names}
                if any(self.sums.of(one) is not None for one in parts.values()):
                    for name, take in parts.items():
                        self.tonnes(f"CDP-{question}.3/{activity}/{name}", take)
        owners = {one["facility_id"]: one["entity_id"] for one in self.reference["site"]}
        self._by("", "7.22", GROSS, {"accounting_group": self._sites(GROSS)})
        entities = {
            entity: tuple(one for one in self._sites(GROSS) if owners[one] == entity)
            for entity in sorted({owners[one] for one in self._sites(GROSS)})
        }
        self._by("1", "7.23", GROSS, entities)
        for scope, taken in biogenic_takes(self.year).items():
            figure = self.tonnes(f"CDP-7.12.1/scope_{scope}/emissions", taken)
            if scope == 1:
                self.put("CDP-7.12.1/biogenic/emissions", figure)

    def _by(
        self, part: str, question: str, names: Sequence[str], rows: Mapping[str, tuple[str, ...]]
    ) -> None:
        number = f"{question}.{part}" if part else question
        for row, sites in rows.items():
            for name in names:
                taken = replace(gross_takes(self.year)[name], sites=sites)
                self.tonnes(f"CDP-{number}/{row}/{name}", taken)

    def _countries(self) -> list[str]:
        takes = gross_takes(self.year).values()
        return [
            country
            for country in self.sums.values("country", self.year)
            if any(self.sums.of(replace(one, country=country)) is not None for one in takes)
        ]

    def _gases(self) -> None:
        whole = gross_takes(self.year)["scope_1"]
        figures = []
        for gas, potential in GASES.items():
            kg = self.sums.of(replace(whole, measure=gas))
            figure = self.put(f"CDP-7.15.1/{gas}/{gas}", times(kg, potential / 1000))
            figures.append(self.put(f"CDP-7.15.1/{gas}/scope_1", figure))
        name = "CDP-7.15.1/not_apart"
        gases = self._add(f"{name}/gases", figures)
        given = self.tonnes(f"{name}/given_apart", whole)
        rest = self.put(f"{name}/remainder", difference(given, gases))
        self.put(f"{name}/scope_1", rest)

    # ---- CDP 7.30

    def _questions_of_energy(self) -> None:
        found = self.energy(self.year)
        fuel = sum_of((found["oil"], found["natural_gas"]))
        split: dict[str, tuple[Figure, Figure]] = {
            "fuel": (None, fuel),
            "electricity": (found["purchased_renewable"], found["purchased_fossil"]),
            **dict.fromkeys(("heat", "steam", "cooling"), (None, None)),
            "self_generated": (found["self_generated"], None),
        }
        split["all"] = (
            sum_of(one for one, _ in split.values()),
            sum_of(one for _, one in split.values()),
        )
        for row, (renewable, other) in split.items():
            self.put(f"CDP-7.30.1/{row}/renewable", renewable)
            self.put(f"CDP-7.30.1/{row}/non_renewable", other)
            self._add(f"CDP-7.30.1/{row}/total", (renewable, other))
        self._fuels(found, fuel)
        self._generated(found)
        for country in self._countries():
            here = self.energy(self.year, country=country)
            bought = sum_of((here["purchased_renewable"], here["purchased_fossil"]))
            own = self.own_generation(self.year, country=country)
            if bought is None and own is None:
                continue
            # Own power whose certificates were sold is of the grid's origin, and yet not bought.
            sold = (own or Fraction(0)) - (here["self_generated"] or Fraction(0))
            if bought is not None:
                bought -= sold
            name = f"CDP-7.30.16/{country}"
            self.put(f"{name}/purchased", bought)
            self.put(f"{name}/self_generated", own)
            self.put(f"{name}/heat_purchased", None)
            self.put(f"{name}/heat_self_generated", None)
            self._add(f"{name}/total", (bought, own))

    def _fuels(self, found: Mapping[str, Figure], fuel: Figure) -> None:
        rows: dict[str, Figure] = {
            "Sustainable biomass": None,
            "Other biomass": None,
            "Other renewable fuels (e.g. renewable hydrogen)": None,
            "Coal": None,
            "Oil": found["oil"],
            "Gas": found["natural_gas"],
            "Other non-renewable fuels (e.g. non-renewable hydrogen)": None,
            "Total fuel": fuel,
        }
        for row, figure in rows.items():
            self.put(f"CDP-7.30.7/{row}/total", figure)
            for use in ("electricity", "heat", "steam", "cooling", "cogeneration"):
                self.put(f"CDP-7.30.7/{row}/{use}", None)

    def _generated(self, found: Mapping[str, Figure]) -> None:
        made = self._told("energy_production_renewable")
        self.put("CDP-7.30.9/electricity/energy_production_renewable_1", made)
        told = {
            "gross": made,
            "consumed": self.own_generation(self.year),
            "gross_renewable": made,
            "consumed_renewable": found["self_generated"],
        }
        for row in ("electricity", "heat", "steam", "cooling"):
            for column, figure in told.items():
                self.put(f"CDP-7.30.9/{row}/{column}", figure if row == "electricity" else None)


def question_of(name: str) -> str:
    return "7.6" if name == "scope_1" else "7.7"
