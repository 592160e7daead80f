"""ESRS E1-6: gross scopes 1, 2 and 3 and total GHG emissions, and what stands beside the table.

Belongs here: the table of AR 48 and its neighbours (AR 39-55). Does not: energy (esrs_e1_5),
removals and credits (esrs_e1_7), how a cell is kept or shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from carbon_ledger.organisation.categories import CATEGORIES
from carbon_ledger.reporting.cube import (
    SCOPE_1,
    SCOPE_2_LOCATION,
    SCOPE_2_MARKET,
    SCOPE_3,
    Selection,
    category,
    selected,
    values_of,
)
from carbon_ledger.reporting.esrs_e1_6_groups import Groups
from carbon_ledger.reporting.esrs_e1_6_instruments import Instruments
from carbon_ledger.reporting.esrs_e1_6_intensity import BASES, Intensity
from carbon_ledger.reporting.esrs_profile import (
    BASELINE,
    COUNTRY_AXIS,
    MILESTONE,
    Profile,
    category_dimension,
    tag,
)
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.stated import Stated, stated_of
from carbon_ledger.reporting.tables import (
    PERCENT,
    TONNES,
    UNTAGGED,
    Cell,
    Column,
    Dimension,
    Maker,
    Row,
    Section,
    Table,
    Tag,
)

AR_48: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772), paragraphs 44-52, AR 39-48"
AR_41: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772), AR 41"
HUNDRED: Final = Decimal(100)
ANNUAL: Final = "annual_target_pct"

GROSS_1: Final = "GrossScope1GreenhouseGasEmissions"
GROSS_2_LOCATION: Final = "GrossLocationBasedScope2GreenhouseGasEmissions"
GROSS_2_MARKET: Final = "GrossMarketBasedScope2GreenhouseGasEmissions"
GROSS_3: Final = "GrossScope3GreenhouseGasEmissions"
ALL_LOCATION: Final = "LocationBasedGreenhouseGasEmissions"
ALL_MARKET: Final = "MarketBasedGreenhouseGasEmissions"
BIOGENIC: Final = "BiogenicEmissionsOfCO2FromCombustionOrBiodegradationOfBiomass"

LABELS: Final[dict[str, str]] = {
    "scope_1": "Gross scope 1 GHG emissions",
    "scope_1_regulated_pct": "Share of scope 1 under regulated emission trading schemes",
    "scope_2_location": "Gross location-based scope 2 GHG emissions",
    "scope_2_market": "Gross market-based scope 2 GHG emissions",
    "scope_3": "Total gross indirect (scope 3) GHG emissions",
    "total_location": "Total GHG emissions (location-based)",
    "total_market": "Total GHG emissions (market-based)",
}


@dataclass(kw_only=True)
class E16:
    """Makes the tables of E1-6 from one set of inputs."""

    inputs: ReportInputs
    profile: Profile
    maker: Maker = field(init=False)

    def __post_init__(self) -> None:
        self.maker = Maker(cubes=self.inputs.cubes)
        self.name = self.profile.disclosures["emissions"]

    def tables(self) -> tuple[Table, ...]:
        """The gross emissions, their screening, countries, and figures beside the table."""
        main = self._main()
        instruments = Instruments(inputs=self.inputs, profile=self.profile, maker=self.maker)
        groups = Groups(inputs=self.inputs, profile=self.profile, maker=self.maker)
        beside = [self._screening(), self._countries(), groups.table(), self._beside()]
        beside.append(instruments.table())
        if self.profile.has_revenue_intensity:
            totals = {one: self.maker.made[self._id(f"total_{one}", "current")] for one in BASES}
            intensity = Intensity(inputs=self.inputs, profile=self.profile, maker=self.maker)
            beside.append(intensity.table(totals))
        return (main, *beside)

    # ---- the table of AR 48

    def _main(self) -> Table:
        years = {"current": self.inputs.fiscal_year, "comparative": self.inputs.comparative}
        if self.inputs.base_year is not None:
            years = {"base_year": self.inputs.base_year, **years}
        columns = {column: self._year_column(column, year) for column, year in years.items()}
        targets = self._targets()
        annual = self._annual_parts(targets)
        rows = []
        for row_id in self._row_ids():
            cells = {name: column[row_id] for name, column in columns.items()}
            if row_id != "scope_1_regulated_pct":
                cells["change_pct"] = self._change(row_id, cells["current"], cells["comparative"])
                for target in targets:
                    cells[f"target_{target.key}"] = self._target(row_id, target, cells)
                if annual is not None:
                    cells[ANNUAL] = self._annual(row_id, annual)
            is_total = row_id.startswith("total") or row_id == "scope_3"
            rows.append(Row(row_id=row_id, label=_label(row_id), cells=cells, is_total=is_total))
        return Table(
            table_id=self.name,
            title="Gross scopes 1, 2, 3 and total GHG emissions",
            columns=(
                *(
                    Column(column_id=name, heading=_heading(name, year), unit=TONNES)
                    for name, year in years.items()
                ),
                Column(column_id="change_pct", heading="% N / N-1", unit=PERCENT),
                *(
                    Column(column_id=f"target_{one.key}", heading=f"Target {one.key}", unit=TONNES)
                    for one in targets
                ),
                *(
                    (Column(column_id=ANNUAL, heading="Annual % target / base year", unit=PERCENT),)
                    if annual is not None
                    else ()
                ),
            ),
            rows=tuple(rows),
            citation=AR_48,
        )

    def _row_ids(self) -> Iterator[str]:
        yield from ("scope_1", "scope_1_regulated_pct", "scope_2_location", "scope_2_market")
        yield "scope_3"
        yield from (f"category_{number:02}" for number in self._significant())
        yield from ("total_location", "total_market")

    def _year_column(self, column: str, year: int) -> dict[str, Cell]:
        more = (BASELINE,) if column == "base_year" else ()

        def made(row_id: str, selection: Selection, concept: str, *own: Dimension) -> Cell:
            return self.maker.of_entries(
                self._id(row_id, column), year, selection, tag=self._tag(concept, *own, *more)
            )

        scope_1 = made("scope_1", SCOPE_1, GROSS_1)
        location = made("scope_2_location", SCOPE_2_LOCATION, GROSS_2_LOCATION)
        market = made("scope_2_market", SCOPE_2_MARKET, GROSS_2_MARKET)
        categories = {
            f"category_{number:02}": made(
                f"category_{number:02}", category(number), GROSS_3, category_dimension(number)
            )
            for number in self._significant()
        }
        scope_3 = self.maker.sum(
            self._id("scope_3", column), categories.values(), tag=self._tag(GROSS_3, *more)
        )
        return {
            "scope_1": scope_1,
            "scope_1_regulated_pct": self._regulated(column, year, scope_1),
            "scope_2_location": location,
            "scope_2_market": market,
            "scope_3": scope_3,
            **categories,
            "total_location": self._total(
                "location", column, (scope_1, location, scope_3), market, *more
            ),
            "total_market": self._total(
                "market", column, (scope_1, market, scope_3), location, *more
            ),
        }

    def _total(
        self,
        basis: str,
        column: str,
        parts: tuple[Cell, Cell, Cell],
        other: Cell,
        *more: Dimension,
    ) -> Cell:
        """All scopes; empty where scope 2 has a figure by the other basis alone, since without it
        the total would be too small.
        """
        cell_id = self._id(f"total_{basis}", column)
        if parts[1].value is None and isinstance(other.value, Decimal):
            return self.maker.empty(
                cell_id, f"scope 2 has no {basis}-based figure of the year", unit=TONNES
            )
        concept = ALL_LOCATION if basis == "location" else ALL_MARKET
        return self.maker.sum(cell_id, parts, tag=self._tag(concept, *more))

    def _regulated(self, column: str, year: int, scope_1: Cell) -> Cell:
        """(EU + national + non-EU ETS t) / scope 1 t of one period (paragraph 48(b))."""
        cell_id = self._id("scope_1_regulated_pct", column)
        parts = [
            self.maker.stated(
                f"{cell_id}/{one.key or number}",
                one.value if one.value is not None else Decimal(0),
                source=one.source,
                unit=TONNES,
            )
            for number, one in enumerate(self._stated("scope_1_regulated", year), start=1)
        ]
        if not parts:
            return self.maker.empty(cell_id, "not stated", unit=PERCENT)
        regulated = self.maker.sum(f"{cell_id}/tonnes", parts)
        concept = "PercentageOfScope1GreenhouseGasEmissionsFromRegulatedEmissionTradingSchemes"
        more = (BASELINE,) if column == "base_year" else ()
        return self.maker.quotient(
            cell_id,
            regulated,
            scope_1,
            unit=PERCENT,
            scale=HUNDRED,
            tag=self._tag(concept, *more),
        )

    def _change(self, row_id: str, current: Cell, comparative: Cell) -> Cell:
        cell_id = self._id(row_id, "change_pct")
        return self.maker.quotient(cell_id, current, comparative, unit=PERCENT, scale=HUNDRED)

    def _targets(self) -> list[Stated]:
        if self.inputs.base_year is None:
            return []
        return [one for one in self._stated("target_pct") if one.value is not None]

    def _target(self, row_id: str, target: Stated, cells: dict[str, Cell]) -> Cell:
        """Base year x (1 - reduction); AR 48 asks for it beside the figures of the year."""
        cell_id = self._id(row_id, f"target_{target.key}")
        base = cells["base_year"]
        if not isinstance(base.value, Decimal) or target.value is None:
            return self.maker.empty(cell_id, "no figure of the base year", unit=TONNES)
        remaining = (HUNDRED - target.value).scaleb(-2)
        concept = base.concept
        others = tuple(one for one in base.dimensions if one != BASELINE)
        marked = self._tag(concept, *others, MILESTONE) if concept else UNTAGGED
        summed = self.maker.sum(cell_id, (base,), tag=marked)
        scaled = replace(
            summed,
            value=base.value * remaining,
            scale=remaining,
            source=target.source,
            year=int(target.key),
        )
        self.maker.made[cell_id] = scaled
        return scaled

    def _annual_parts(self, targets: list[Stated]) -> tuple[Cell, Cell] | None:
        """The reduction of the nearest target after the base year, and the years until then."""
        base = self.inputs.base_year
        later = [one for one in targets if base is not None and int(one.key) > base]
        nearest = min(later, key=lambda one: int(one.key), default=None)
        if nearest is None or nearest.value is None or base is None:
            return None
        place = f"{self.name}/{ANNUAL}"
        reduction = self.maker.stated(
            f"{place}/reduction", nearest.value, source=nearest.source, unit=PERCENT
        )
        years = self.maker.stated(
            f"{place}/years",
            Decimal(int(nearest.key) - base),
            source=f"from {base} to {nearest.key}; {nearest.source}",
            unit="years",
        )
        return reduction, years

    def _annual(self, row_id: str, parts: tuple[Cell, Cell]) -> Cell:
        """Percent of the base year by which the figure is to fall each year until the target."""
        return self.maker.quotient(self._id(row_id, ANNUAL), *parts, unit=PERCENT)

    # ---- beside the table

    def _significant(self) -> tuple[int, ...]:
        """Categories that are reported: those with entries that are not left out with a reason."""
        left_out = {int(one.key) for one in self._stated("category_excluded")}
        years = {self.inputs.fiscal_year, self.inputs.comparative, self.inputs.base_year}
        return tuple(
            number
            for number in CATEGORIES
            if number not in left_out
            and any(
                selected(self.inputs.cubes.get(year, ()), category(number))
                for year in years
                if year is not None
            )
        )

    def _reported_3(self) -> Selection:
        """Scope 3 without the categories that are left out."""
        return replace(SCOPE_3, categories=self._significant() or (0,))

    def _screening(self) -> Table:
        """Every category: reported, or left out and why (AR 46(i))."""
        year = self.inputs.fiscal_year
        reasons = {int(one.key): one for one in self._stated("category_excluded")}
        whole = self.maker.of_entries(f"{self.name}/screening/scope_3", year, SCOPE_3)
        rows = []
        for number, known in CATEGORIES.items():
            cell_id = f"{self.name}/screening/category_{number:02}"
            figure = self.maker.of_entries(f"{cell_id}/figure", year, category(number))
            share = self.maker.quotient(
                f"{cell_id}/share", figure, whole, unit=PERCENT, scale=HUNDRED
            )
            if number in reasons:
                status = "excluded"
                reason = self.maker.stated(
                    f"{cell_id}/reason", reasons[number].text, source=reasons[number].source
                )
            elif figure.value is None:
                status = "no entries, no reason stated"
                reason = self.maker.empty(f"{cell_id}/reason", "state it: category_excluded")
            else:
                status = "included"
                reason = self.maker.text(f"{cell_id}/reason", "calculated from the ledger")
            cells = {
                "figure": figure,
                "share": share,
                "status": self.maker.text(f"{cell_id}/status", status),
                "reason": reason,
            }
            rows.append(
                Row(row_id=f"category_{number:02}", label=f"{number} {known.name}", cells=cells)
            )
        return Table(
            table_id=f"{self.name}-screening",
            title="Significance screening of scope 3 categories",
            columns=(
                Column(column_id="figure", heading="Emissions", unit=TONNES),
                Column(column_id="share", heading="Share of scope 3", unit=PERCENT),
                Column(column_id="status", heading="Status"),
                Column(column_id="reason", heading="Reason"),
            ),
            rows=tuple(rows),
            citation="ESRS E1 (Delegated Regulation (EU) 2023/2772), AR 46(c), (d), (i)",
        )

    def _countries(self) -> Table:
        year = self.inputs.fiscal_year
        rows = []
        parts = {"scope_1": SCOPE_1, "scope_2_location": SCOPE_2_LOCATION}
        parts |= {"scope_2_market": SCOPE_2_MARKET, "scope_3": self._reported_3()}
        concepts = dict(
            zip(parts, (GROSS_1, GROSS_2_LOCATION, GROSS_2_MARKET, GROSS_3), strict=True)
        )
        cube = self.inputs.cubes.get(year, ())
        counted = [row for row in cube if any(one.covers(row) for one in parts.values())]
        for country in values_of(counted, "country_iso2"):
            cells = {
                name: self.maker.of_entries(
                    f"{self.name}/country/{country}/{name}",
                    year,
                    replace(selection, countries=(country,)),
                    tag=self._tag(concepts[name], Dimension(axis=COUNTRY_AXIS, member=country)),
                )
                for name, selection in parts.items()
            }
            rows.append(Row(row_id=country, label=country, cells=cells))
        return Table(
            table_id=f"{self.name}-countries",
            title="GHG emissions by country",
            columns=tuple(
                Column(column_id=name, heading=LABELS[name], unit=TONNES) for name in parts
            ),
            rows=tuple(rows),
            citation=AR_41,
        )

    def _beside(self) -> Table:
        year, name = self.inputs.fiscal_year, f"{self.name}/beside"
        scopes = {
            "scope_1": (SCOPE_1, f"{BIOGENIC}NotIncludedInScope1GHGEmissions"),
            "scope_2": (SCOPE_2_LOCATION, f"{BIOGENIC}NotIncludedInScope2GHGEmissions"),
            "scope_3": (
                self._reported_3(),
                f"{BIOGENIC}ThatOccurInUpstreamAndDownstreamValueChainNotIncludedInScope3"
                "GHGEmissions",
            ),
        }
        rows = [
            Row(
                row_id=f"biogenic_{scope}",
                label=f"Biogenic CO2, not in {scope.replace('_', ' ')}",
                cells={
                    "value": self.maker.of_entries(
                        f"{name}/biogenic_{scope}",
                        year,
                        selection,
                        measure="kg_co2_biogenic",
                        unit="tCO2",
                        tag=self._tag(concept),
                    )
                },
            )
            for scope, (selection, concept) in scopes.items()
        ]
        reported = self._reported_3()
        whole = self.maker.of_entries(f"{name}/scope_3", year, reported)
        primary = self.maker.of_entries(
            f"{name}/scope_3_primary", year, reported, measure="primary_kgco2e"
        )
        share = self.maker.quotient(
            f"{name}/primary_share",
            primary,
            whole,
            unit=PERCENT,
            scale=HUNDRED,
            tag=self._tag(
                "PercentageOfGrossScope3GreenhouseGasEmissionsCalculatedUsingPrimaryDataObtained"
                "FromSuppliersOrOtherValueChainPartners"
            ),
        )
        rows.append(
            Row(
                row_id="primary_share",
                label="Scope 3 calculated with primary data of partners",
                cells={"value": share},
            )
        )
        substituted = self.maker.of_entries(
            f"{name}/substituted", year, SCOPE_2_LOCATION, measure="substituted_kgco2e"
        )
        rows.append(
            Row(
                row_id="substituted",
                label="Scope 2 (location-based) by a life-cycle factor in place of a direct one",
                cells={"value": substituted},
            )
        )
        return Table(
            table_id=f"{self.name}-beside",
            title="Biogenic emissions and quality of the figures",
            columns=(Column(column_id="value", heading=str(year)),),
            rows=tuple(rows),
            citation="ESRS E1 (Delegated Regulation (EU) 2023/2772), AR 43(c), 45(e), 46(g), (j)",
        )

    # ---- names

    def _id(self, row_id: str, column: str) -> str:
        return f"{self.name}/{row_id}/{column}"

    def _tag(self, concept: str, *dimensions: Dimension) -> Tag:
        return tag(self.profile, concept, *dimensions)

    def _stated(self, subject: str, year: int | None = None) -> list[Stated]:
        return stated_of(self.inputs.statements, subject, year or self.inputs.fiscal_year)


def e1_6(inputs: ReportInputs, profile: Profile) -> Section:
    """The tables of E1-6 (AR 48 and beside it), by the profile's names."""
    made = E16(inputs=inputs, profile=profile)
    return Section(tables=made.tables(), cells=made.maker.made)


def _label(row_id: str) -> str:
    if row_id in LABELS:
        return LABELS[row_id]
    number = int(row_id.removeprefix("category_"))
    return f"{number} {CATEGORIES[number].name}"


def _heading(column: str, year: int) -> str:
    words = {"base_year": "Base year", "comparative": "Comparative", "current": "Year"}
    return f"{words[column]} {year}"
