"""How figures of the demo company's reports are added up, and what a report's cells have in common.

Belongs here: which lines a figure takes, the oracle's own way of adding up, and how a cell comes of
sums and of what the company states. Does not: which cells there are (scripts.demo_esrs_truth,
scripts.demo_cdp_truth), anything of the ledger's code; a test holds this module to the standard
library.

A figure is exact, a quotient has 12 decimals, and None is a cell without a figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

from scripts.demo_published import Row, Tables, TruthError
from scripts.demo_truth import Line, posted

Figure = Fraction | None
Cells = dict[str, Figure]
CATEGORIES = range(1, 16)
GROSS = ("scope_1", "scope_2_location", "scope_2_market")
# What is no measurement: lines of 0 kg that say that something is counted elsewhere, or not yet.
NOT_MEASURED = ("evidence", "informational")


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
    without_bases: tuple[str, ...] = ()
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
        and line.basis not in take.without_bases
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


def gross_takes(year: int) -> dict[str, Take]:
    """Scope 1, and scope 2 by both figures."""
    return {
        "scope_1": Take(year=year, scope=1, without_bases=NOT_MEASURED),
        "scope_2_location": Take(year=year, scope=2, basis="location"),
        "scope_2_market": Take(year=year, scope=2, basis="market"),
    }


def scope_3_take(year: int) -> Take:
    """Where a figure is calculated for both bases of scope 2, the location-based one."""
    return Take(year=year, scope=3, without_bases=(*NOT_MEASURED, "market"))


def category_take(number: int, year: int) -> Take:
    return replace(scope_3_take(year), category=number)


def sum_of(figures: Iterable[Figure]) -> Figure:
    known = [one for one in figures if one is not None]
    return sum(known, Fraction(0)) if known else None


def times(figure: Figure, scale: Fraction) -> Figure:
    return None if figure is None else figure * scale


def difference(left: Figure, right: Figure) -> Figure:
    return None if left is None or right is None else left - right


def biogenic_takes(year: int) -> dict[int, Take]:
    """Biogenic carbon dioxide, which is told beside each scope."""
    gross = gross_takes(year)
    takes = {1: gross["scope_1"], 2: gross["scope_2_location"], 3: scope_3_take(year)}
    return {scope: replace(take, measure="biogenic") for scope, take in takes.items()}


@dataclass(kw_only=True)
class ReportCells:
    """The cells of a report of a fiscal year, from sums and what the company states.

    `sums` is any way of adding up: the oracle's own lines, or plain SQL over the ledger.
    """

    sums: Sums
    reference: Mapping[str, Sequence[Row]]
    year: int
    base_year: int = 2024
    tables: Tables = field(default_factory=Tables)
    cells: Cells = field(default_factory=dict)

    # ---- how cells come about

    def tonnes(self, cell_id: str, take: Take) -> Figure:
        return self.put(cell_id, times(self.sums.of(take), Fraction(1, 1000)))

    def put(self, cell_id: str, figure: Figure) -> Figure:
        if cell_id in self.cells:
            raise TruthError(f"{cell_id} is told twice")
        self.cells[cell_id] = figure
        return figure

    def _add(self, cell_id: str, figures: Iterable[Figure]) -> Figure:
        return self.put(cell_id, sum_of(figures))

    def _quotient(self, cell_id: str, above: Figure, below: Figure, scale: int = 100) -> Figure:
        if above is None or not below:
            return self.put(cell_id, None)
        return self.put(cell_id, rounded(above * scale / below))

    def _told(self, subject: str, item: str | None = None, year: int | None = None) -> Figure:
        """What the company states of a subject: the sum of its figures; None if there is none."""
        found = [one for one in self._statements(subject, year) if item in (None, one["item"])]
        return sum_of(Fraction(one["value"]) for one in found)

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

    def _sites(self, names: Sequence[str]) -> tuple[str, ...]:
        """Sites with lines of these gross figures."""
        takes = gross_takes(self.year)
        return tuple(
            site
            for site in self.sums.values("site", self.year)
            if any(self.sums.of(replace(takes[one], sites=(site,))) is not None for one in names)
        )

    # ---- energy

    def own_generation(self, year: int, country: str | None = None) -> Figure:
        """MWh that own roofs gave and that were consumed, whoever has their certificates."""
        take = Take(
            year=year,
            scope=2,
            basis="location",
            activities=("self_generated:solar",),
            measure="amount",
            country=country,
        )
        return times(self.sums.of(take), Fraction(1, 1000))

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
            row: times(self.sums.of(take), Fraction(1, 1000))
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
