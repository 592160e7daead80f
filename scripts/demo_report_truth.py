"""What the demo company's reports must say, cell by cell, worked out apart from the ledger.

Belongs here: which lines each cell of ESRS E1-5, E1-6 and of CDP's module 7 takes, and what is made
of them, written from docs/reports.md and docs/accounting.md. Does not: anything of the ledger's
code; a test holds this module to the standard library. What it says is a function of `Sums`: the
oracle's own lines give them, or any other way of adding up (the tests have one in plain SQL).

Cells are named as reports name them. A figure is exact, a quotient has 12 decimals, and None is a
cell without a figure. Words are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from scripts.demo_period_truth import period_lines
from scripts.demo_truth import (
    Fields,
    Line,
    Row,
    Tables,
    TruthError,
    posted,
    standing_lines,
    told_of,
)

Figure = Fraction | None
Cells = dict[str, Figure]
CATEGORIES = range(1, 16)
GROSS = ("scope_1", "scope_2_location", "scope_2_market")
# Potentials over 100 years of AR6 (IPCC, table 7.15), and what the ledger calls the masses.
GASES = {"CO2": Fraction(1), "CH4": Fraction("27.9"), "N2O": Fraction(273)}
# Scopes beside which biogenic carbon dioxide is told, and the basis it is of.
BESIDE: tuple[tuple[int, str | None], ...] = ((1, None), (2, "location"), (3, None))
# Activities of CDP 7.17.3 and 7.20.3, and what is done there.
ACTIVITIES = {
    "Stationary combustion": ("fuel:natural_gas",),
    "Mobile combustion": ("vehicle_fuel:diesel_blend",),
    "Purchased electricity": ("electricity:grid", "electricity:market", "self_generated:solar"),
}


@dataclass(frozen=True, kw_only=True)
class Take:
    """Which lines a figure takes: those with each of the values given; None asks nothing.

    `measure` is what is added up: `kgco2e`, kg of a gas (`CO2`, `CH4`, `N2O`, `biogenic`), the
    `amount` of the activity, or kgCO2e of lines from `primary` data or by a `substitute` factor.
    """

    year: int
    scope: int | None = None
    category: int | None = None
    basis: str | None = None
    without_basis: str | None = None
    country: str | None = None
    sites: tuple[str, ...] | None = None
    activities: tuple[str, ...] | None = None
    instrument: str | None = None
    measure: str = "kgco2e"


class Sums(Protocol):
    """A way of adding up."""

    def of(self, take: Take) -> Figure:
        """The exact sum; None where no line is taken."""

    def values(self, name: str, year: int) -> list[str]:
        """The different values of `site` or `country` of a year's lines, in order."""


@dataclass(kw_only=True)
class Lines:
    """The oracle's sums: each line as it is posted, with 12 decimals."""

    lines: Sequence[Line]
    known: dict[Take, Figure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places: dict[tuple[int, int], list[Line]] = {}
        for one in self.lines:
            self.places.setdefault((one.year, one.scope), []).append(one)

    def of(self, take: Take) -> Figure:
        """The exact sum; None where no line is taken."""
        if take not in self.known:
            scopes = (1, 2, 3) if take.scope is None else (take.scope,)
            lines = [one for scope in scopes for one in self.places.get((take.year, scope), ())]
            taken = [one for one in lines if _is_taken(one, take)]
            measured = (_measured(one, take.measure) for one in taken)
            self.known[take] = sum(measured, Fraction(0)) if taken else None
        return self.known[take]

    def values(self, name: str, year: int) -> list[str]:
        """The different values of `site` or `country` of a year's lines, in order."""
        return sorted({getattr(one, name) for one in self.lines if one.year == year})


def _is_taken(line: Line, take: Take) -> bool:
    asked = (
        (take.scope, line.scope),
        (take.category, line.category),
        (take.basis, line.basis),
        (take.country, line.country),
        (take.instrument, line.instrument),
    )
    return (
        line.year == take.year
        and all(wanted is None or wanted == found for wanted, found in asked)
        and line.basis != take.without_basis
        and (take.sites is None or line.site in take.sites)
        and (take.activities is None or line.activity in take.activities)
    )


def _measured(line: Line, measure: str) -> Fraction:
    if measure == "amount":
        return line.amount
    if measure in ("CO2", "CH4", "N2O", "biogenic"):
        return Fraction(posted(line.masses.get(measure, Fraction(0))))
    counts = {"kgco2e": True, "primary": line.is_primary, "substitute": line.is_substitute}
    return Fraction(posted(line.exact * line.share)) if counts[measure] else Fraction(0)


def rounded(exact: Fraction) -> Fraction:
    """A quotient as reports have it: 12 decimals, half to even."""
    return Fraction(round(exact * 10**12), 10**12)


@dataclass(kw_only=True)
class Reports:
    """The cells of both reports of a fiscal year, from sums and what the company states."""

    sums: Sums
    reference: Mapping[str, Sequence[Row]]
    year: int
    base_year: int = 2024
    tables: Tables = field(default_factory=Tables)
    cells: Cells = field(default_factory=dict)

    def esrs_e1(self) -> Cells:
        """Every figure of E1-5 and E1-6."""
        self.cells = {}
        self._energy()
        self._gross()
        self._beside()
        self._instruments()
        self._intensities()
        return self.cells

    def cdp_7(self) -> Cells:
        """Every figure of module 7."""
        self.cells = {}
        self._questions_of_gross()
        self._categories()
        self._changes()
        self._breakdowns()
        self._gases()
        self._questions_of_energy()
        self._metrics()
        return self.cells

    # ---- how cells come about

    def _tonnes(self, cell_id: str, take: Take) -> Figure:
        return self._put(cell_id, _times(self.sums.of(take), Fraction(1, 1000)))

    def _put(self, cell_id: str, figure: Figure) -> Figure:
        if cell_id in self.cells:
            raise TruthError(f"{cell_id} is told twice")
        self.cells[cell_id] = figure
        return figure

    def _add(self, cell_id: str, figures: Iterable[Figure]) -> Figure:
        return self._put(cell_id, _sum(figures))

    def _quotient(self, cell_id: str, above: Figure, below: Figure, scale: int = 100) -> Figure:
        if above is None or not below:
            return self._put(cell_id, None)
        return self._put(cell_id, rounded(above * scale / below))

    def _told(self, subject: str, item: str | None = None, year: int | None = None) -> Figure:
        """What the company states of a subject: the sum of its figures; None if there is none."""
        found = [one for one in self._statements(subject, year) if item in (None, one["item"])]
        return _sum(Fraction(one["value"]) for one in found)

    def _statements(self, subject: str, year: int | None = None) -> list[Row]:
        begin = f"{year or self.year}-01-01"
        return sorted(
            (
                one
                for one in self.reference["disclosure"]
                if (one["subject"], one["valid_from"]) == (subject, begin)
            ),
            key=lambda one: one["item"],
        )

    def _revenue(self, measure: str, year: int | None = None) -> Figure:
        begin = f"{year or self.year}-01-01"
        for one in self.reference["revenue"]:
            if (one["measure"], one["valid_from"]) == (measure, begin):
                return Fraction(one["amount"])
        return None

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
                self._put(f"E1-6/{row}/target_{target['item']}", _times(base, left))
        for target in self._statements("target_pct")[:1]:
            reduction = self._put("E1-6/annual_target_pct/reduction", Fraction(target["value"]))
            apart = Fraction(int(target["item"]) - self.base_year)
            years = self._put("E1-6/annual_target_pct/years", apart)
            for row in (*GROSS, "scope_3", *self._reported(), "total_location", "total_market"):
                self._quotient(f"E1-6/{row}/annual_target_pct", reduction, years, scale=1)

    def _gross_column(self, column: str, year: int) -> None:
        found = {
            row: self._tonnes(f"E1-6/{row}/{column}", take)
            for row, take in gross_takes(year).items()
        }
        categories = [
            self._tonnes(f"E1-6/{row}/{column}", _category(int(row[-2:]), year))
            for row in self._reported()
        ]
        found["scope_3"] = self._add(f"E1-6/scope_3/{column}", categories)
        for basis in ("location", "market"):
            parts = [found[one] for one in ("scope_1", f"scope_2_{basis}", "scope_3")]
            self._add(f"E1-6/total_{basis}/{column}", parts)
        name = f"E1-6/scope_1_regulated_pct/{column}"
        for one in self._statements("scope_1_regulated", year):
            self._put(f"{name}/{one['item']}", Fraction(one["value"]))
        regulated = self._told("scope_1_regulated", year=year)
        if regulated is not None:
            self._put(f"{name}/tonnes", regulated)
        self._quotient(name, regulated, found["scope_1"])

    def _reported(self) -> list[str]:
        """Categories that have lines in one of the years shown and are not left out."""
        left_out = {one["item"] for one in self._statements("category_excluded")}
        years = (self.base_year, self.year - 1, self.year)
        return [
            f"category_{number:02}"
            for number in CATEGORIES
            if str(number) not in left_out
            and any(self.sums.of(_category(number, year)) is not None for year in years)
        ]

    def _beside(self) -> None:
        year = self.year
        scope_3 = Take(year=year, scope=3, without_basis="market")
        whole = self._tonnes("E1-6/screening/scope_3", scope_3)
        for number in CATEGORIES:
            name = f"E1-6/screening/category_{number:02}"
            figure = self._tonnes(f"{name}/figure", _category(number, year))
            self._quotient(f"{name}/share", figure, whole)
        for country in self.sums.values("country", year):
            for row, take in {**gross_takes(year), "scope_3": scope_3}.items():
                taken = replace(take, country=country)
                self._tonnes(f"E1-6/country/{country}/{row}", taken)
        for scope, basis in BESIDE:
            taken = Take(year=year, scope=scope, basis=basis, measure="biogenic")
            self._tonnes(f"E1-6/beside/biogenic_scope_{scope}", taken)
        for name, take in gross_takes(self.year).items():
            taken = replace(take, sites=self._sites(GROSS))
            self._tonnes(f"E1-6/group/accounting_group/{name}", taken)
        whole = self._tonnes("E1-6/beside/scope_3", scope_3)
        primary = self._tonnes("E1-6/beside/scope_3_primary", replace(scope_3, measure="primary"))
        self._quotient("E1-6/beside/primary_share", primary, whole)
        located = gross_takes(year)["scope_2_location"]
        self._tonnes("E1-6/beside/substituted", replace(located, measure="substitute"))

    def _instruments(self) -> None:
        """The only instrument that covers anything is an unbundled certificate of the year."""
        market = gross_takes(self.year)["scope_2_market"]
        own = Take(year=self.year, activities=("electricity:market",), instrument="own")
        whole = _difference(
            self.sums.of(replace(market, measure="amount")),
            self.sums.of(replace(own, measure="amount")),
        )
        energy = self._put("E1-6/instruments/energy", _times(whole, Fraction(1, 1000)))
        emissions = self._tonnes("E1-6/instruments/emissions", market)
        covered = replace(market, instrument=f"go-{self.year}", measure="amount")
        for row in ("certificate_unbundled", "unbundled", "instruments"):
            amount = self._tonnes(f"E1-6/instruments/{row}/amount", covered)
            self._quotient(f"E1-6/instruments/{row}/share", amount, energy)
        for row in ("certificate_bundled", "ppa", "supplier_rate", "bundled", "bundled_emissions"):
            self._put(f"E1-6/instruments/{row}/amount", Fraction(0))
            of = emissions if row == "bundled_emissions" else energy
            self._quotient(f"E1-6/instruments/{row}/share", Fraction(0), of)

    def _intensities(self) -> None:
        revenue = self._put("E1-6/intensity/revenue", self._revenue("net_revenue"))
        self._put("E1-6/intensity/revenue_total", revenue)
        self._put("E1-6/intensity/revenue_other", None if revenue is None else Fraction(0))
        for basis in ("location", "market"):
            total = self.cells[f"E1-6/total_{basis}/current"]
            self._quotient(f"E1-6/intensity/{basis}", total, revenue, scale=1)

    # ---- ESRS E1-5

    def _net_kwh(self, fuel: str, unit: str, year: int) -> Fraction:
        """kWh (net) per unit of a fuel: both figures of one edition are of the same burning."""
        per_unit, per_kwh = (
            Fraction(self.tables.fuel_row(fuel, "combustion", one, year)["kgco2e_per_unit"])
            for one in (unit, "kwh_net")
        )
        return Fraction(posted(per_unit / per_kwh))

    def energy(self, year: int, country: str | None = None) -> dict[str, Figure]:
        """MWh of each row of E1-5 that the company has, of a country if one is named."""
        market = replace(gross_takes(year)["scope_2_market"], measure="amount", country=country)
        certified = replace(market, instrument=f"go-{year}")
        own = replace(market, instrument="own")
        grid = replace(market, instrument="")
        fuels = {
            "oil": ("vehicle_fuel:diesel_blend", "Diesel (average biofuel blend)", "litre"),
            "natural_gas": ("fuel:natural_gas", "Natural gas", "kwh_gross"),
        }
        found = {
            row: _times(self.sums.of(take), Fraction(1, 1000))
            for row, take in (
                ("purchased_fossil", grid),
                ("purchased_renewable", certified),
                ("self_generated", own),
            )
        }
        for row, (activity, fuel, unit) in fuels.items():
            burnt = Take(
                year=year, scope=1, activities=(activity,), measure="amount", country=country
            )
            amount = self.sums.of(burnt)
            if amount is not None:
                amount *= self._net_kwh(fuel, unit, year) / 1000
            found[row] = amount
        return found

    def _energy(self) -> None:
        for column, year in (("comparative", self.year - 1), ("current", self.year)):
            found = self.energy(year)
            for row in ("coal", "other_fossil", "nuclear", "fuel_renewable"):
                found[row] = None
            fossil = ("coal", "oil", "natural_gas", "other_fossil", "purchased_fossil")
            found["fossil"] = _sum(found[one] for one in fossil)
            renewable = ("fuel_renewable", "purchased_renewable", "self_generated")
            found["renewable"] = _sum(found[one] for one in renewable)
            whole = ("fossil", "nuclear", "renewable")
            found["total"] = _sum(found[one] for one in whole)
            for row, figure in found.items():
                self._put(f"E1-5/{row}/{column}", figure)
            for row in whole:
                self._quotient(f"E1-5/{row}_share/{column}", found[row], found["total"])
            for kind in ("non_renewable", "renewable"):
                subject = f"energy_production_{kind}"
                self._stated_parts(f"E1-5/{subject}/{column}", subject, year)
        energy = self._stated_parts(
            "E1-5/intensity/energy", "high_climate_impact_energy", self.year
        )
        used = self._put(
            "E1-5/intensity/revenue-used", self._revenue("net_revenue_high_climate_impact")
        )
        all_of_it = self._put("E1-5/intensity/revenue", self._revenue("net_revenue"))
        self._put("E1-5/intensity/revenue-other", _difference(all_of_it, used))
        self._quotient("E1-5/intensity/per-revenue", energy, used, scale=1)

    def _stated_parts(self, cell_id: str, subject: str, year: int) -> Figure:
        for one in self._statements(subject, year):
            self._put(f"{cell_id}/{one['item']}", Fraction(one["value"]))
        return self._put(cell_id, self._told(subject, year=year))

    # ---- CDP 7.5 to 7.9

    def _questions_of_gross(self) -> None:
        rows = {"reporting_year": self.year, "past_year_1": self.year - 1}
        for row, year in rows.items():
            for name, take in gross_takes(year).items():
                self._tonnes(f"CDP-{_question(name)}/{row}/{name}", take)
        base = {f"category_{one:02}": _category(one, self.base_year) for one in CATEGORIES}
        for row, take in {**gross_takes(self.base_year), **base}.items():
            self._tonnes(f"CDP-7.5/{row}/emissions", take)
        for one in self._statements("verified_pct"):
            self._put(f"CDP-7.9.1/{one['item']}/verified_pct", Fraction(one["value"]))

    def _categories(self) -> None:
        whole = Take(year=self.year, scope=3, without_basis="market")
        self._tonnes("CDP-7.8/all/emissions", whole)
        self._tonnes("CDP-7.11/reporting_year/emissions", whole)
        self._tonnes("CDP-7.11/past_year_1/emissions", replace(whole, year=self.year - 1))
        for number in CATEGORIES:
            name, row = f"CDP-7.8/category_{number:02}", f"category_{number:02}"
            figure = self._tonnes(f"{name}/emissions", _category(number, self.year))
            last = self._tonnes(f"CDP-7.8.1/past_year_1/{row}", _category(number, self.year - 1))
            if figure is None:
                continue
            told = replace(_category(number, self.year), basis="supplier", without_basis=None)
            part = self._put(
                f"{name}/of_suppliers", _times(self.sums.of(told) or Fraction(0), Fraction(1, 1000))
            )
            self._quotient(f"{name}/supplier_pct", part, figure)
            if last is not None:
                change = self._put(f"CDP-7.11.1/{row}/change", abs(figure - last))
                self._quotient(f"CDP-7.11.1/{row}/percentage", change, last)

    # ---- CDP 7.10 and 7.45

    def _scopes_1_and_2(self, basis: str, year: int) -> Figure:
        takes = gross_takes(year)
        figures = [self.sums.of(takes[one]) for one in ("scope_1", f"scope_2_{basis}")]
        return _times(_sum(figures), Fraction(1, 1000))

    def _changes(self) -> None:
        now, before = (self._scopes_1_and_2("location", one) for one in (self.year, self.year - 1))
        reasons = {
            one["item"]: Fraction(one["value"]) for one in self._statements("emissions_change")
        }
        for reason, change in reasons.items():
            self._put(f"CDP-7.10.1/{reason}/change", abs(change))
            self._quotient(f"CDP-7.10.1/{reason}/percentage", abs(change), before)
        name = "CDP-7.10.1/Unidentified"
        for at, change in enumerate(reasons.values(), start=1):
            self._put(f"{name}/explained_{at}", change)
        expected = self._add(f"{name}/expected", [before, *reasons.values()])
        rest = _difference(now, expected)
        left = self._put(f"{name}/change", None if rest is None else abs(rest))
        self._quotient(f"{name}/percentage", left, before)

    def _metrics(self) -> None:
        for basis in ("location", "market"):
            for year in (self.year, self.year - 1):
                figure = self._scopes_1_and_2(basis, year)
                self._put(f"CDP-7.45/scopes_1_and_2_{basis}/{year}", figure)
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
                self._put(f"{name}/denominator", below)
                self._put(f"{name}/denominator_before", below_before)
                this = self._quotient(f"{name}/intensity", now, below, scale=1)
                last = self._quotient(f"{name}/intensity_before", before, below_before, scale=1)
                rest = _difference(this, last)
                change = self._put(f"{name}/change", None if rest is None else abs(rest))
                self._quotient(f"{name}/change_pct", change, last)

    # ---- CDP 7.12 to 7.23

    def _breakdowns(self) -> None:
        takes, year = gross_takes(self.year), self.year
        for country in self._countries():
            for name, take in takes.items():
                taken = replace(take, country=country)
                self._tonnes(f"CDP-7.16/{country}/{name}", taken)
        for question, names in (("7.17", GROSS[:1]), ("7.20", GROSS[1:])):
            self._by("1", question, names, {"not registered": self._sites(names)})
            self._by("2", question, names, {one: (one,) for one in self._sites(names)})
            for activity, activities in ACTIVITIES.items():
                parts = {one: replace(takes[one], activities=activities) for one in names}
                if any(self.sums.of(one) is not None for one in parts.values()):
                    for name, take in parts.items():
                        self._tonnes(f"CDP-{question}.3/{activity}/{name}", take)
        owners = {one["facility_id"]: one["entity_id"] for one in self.reference["site"]}
        self._by("", "7.22", GROSS, {"accounting_group": self._sites(GROSS)})
        entities = {
            entity: tuple(one for one in self._sites(GROSS) if owners[one] == entity)
            for entity in sorted({owners[one] for one in self._sites(GROSS)})
        }
        self._by("1", "7.23", GROSS, entities)
        for scope, basis in BESIDE:
            taken = Take(year=year, scope=scope, basis=basis, measure="biogenic")
            figure = self._tonnes(f"CDP-7.12.1/scope_{scope}/emissions", taken)
            if scope == 1:
                self._put("CDP-7.12.1/biogenic/emissions", figure)

    def _by(
        self, part: str, question: str, names: Sequence[str], rows: Mapping[str, tuple[str, ...]]
    ) -> None:
        number = f"{question}.{part}" if part else question
        for row, sites in rows.items():
            for name in names:
                taken = replace(gross_takes(self.year)[name], sites=sites)
                self._tonnes(f"CDP-{number}/{row}/{name}", taken)

    def _sites(self, names: Sequence[str]) -> tuple[str, ...]:
        """Sites with lines of these gross figures."""
        takes = gross_takes(self.year)
        return tuple(
            site
            for site in self.sums.values("site", self.year)
            if any(self.sums.of(replace(takes[one], sites=(site,))) is not None for one in names)
        )

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
            figure = self._put(f"CDP-7.15.1/{gas}/{gas}", _times(kg, potential / 1000))
            figures.append(self._put(f"CDP-7.15.1/{gas}/scope_1", figure))
        name = "CDP-7.15.1/not_apart"
        gases = self._add(f"{name}/gases", figures)
        given = self._tonnes(f"{name}/given_apart", whole)
        rest = self._put(f"{name}/remainder", _difference(given, gases))
        self._put(f"{name}/scope_1", rest)

    # ---- CDP 7.30

    def _questions_of_energy(self) -> None:
        found = self.energy(self.year)
        fuel = _sum((found["oil"], found["natural_gas"]))
        split: dict[str, tuple[Figure, Figure]] = {
            "fuel": (None, fuel),
            "electricity": (found["purchased_renewable"], found["purchased_fossil"]),
            **dict.fromkeys(("heat", "steam", "cooling"), (None, None)),
            "self_generated": (found["self_generated"], None),
        }
        split["all"] = (
            _sum(one for one, _ in split.values()),
            _sum(one for _, one in split.values()),
        )
        for row, (renewable, other) in split.items():
            self._put(f"CDP-7.30.1/{row}/renewable", renewable)
            self._put(f"CDP-7.30.1/{row}/non_renewable", other)
            self._add(f"CDP-7.30.1/{row}/total", (renewable, other))
        self._fuels(found, fuel)
        self._generated(found)
        for country in self._countries():
            here = self.energy(self.year, country=country)
            bought = _sum((here["purchased_renewable"], here["purchased_fossil"]))
            if bought is None and here["self_generated"] is None:
                continue
            name = f"CDP-7.30.16/{country}"
            self._put(f"{name}/purchased", bought)
            self._put(f"{name}/self_generated", here["self_generated"])
            self._put(f"{name}/heat_purchased", None)
            self._put(f"{name}/heat_self_generated", None)
            self._add(f"{name}/total", (bought, here["self_generated"]))

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
            self._put(f"CDP-7.30.7/{row}/total", figure)
            for use in ("electricity", "heat", "steam", "cooling", "cogeneration"):
                self._put(f"CDP-7.30.7/{row}/{use}", None)

    def _generated(self, found: Mapping[str, Figure]) -> None:
        made = self._told("energy_production_renewable")
        self._put("CDP-7.30.9/electricity/energy_production_renewable_1", made)
        own = found["self_generated"]
        told = {"gross": made, "consumed": own, "gross_renewable": made, "consumed_renewable": own}
        for row in ("electricity", "heat", "steam", "cooling"):
            for column, figure in told.items():
                self._put(f"CDP-7.30.9/{row}/{column}", figure if row == "electricity" else None)


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
    made = Reports(sums=Lines(lines=lines), reference=reference, year=year)
    return {"esrs_e1": made.esrs_e1(), "cdp_7": made.cdp_7()}


def gross_takes(year: int) -> dict[str, Take]:
    """Scope 1, and scope 2 by both figures."""
    return {
        "scope_1": Take(year=year, scope=1),
        "scope_2_location": Take(year=year, scope=2, basis="location"),
        "scope_2_market": Take(year=year, scope=2, basis="market"),
    }


def _category(number: int, year: int) -> Take:
    return Take(year=year, scope=3, category=number, without_basis="market")


def _question(name: str) -> str:
    return "7.6" if name == "scope_1" else "7.7"


def _sum(figures: Iterable[Figure]) -> Figure:
    known = [one for one in figures if one is not None]
    return sum(known, Fraction(0)) if known else None


def _times(figure: Figure, scale: Fraction) -> Figure:
    return None if figure is None else figure * scale


def _difference(left: Figure, right: Figure) -> Figure:
    return None if left is None or right is None else left - right


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
