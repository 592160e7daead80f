"""ESRS E1-5: energy consumption and mix, energy production, and energy intensity.

Belongs here: the table of AR 34, what its figures were made from, production, intensity, and the
checks of its sums. Does not: which entries are of which row, and their MWh
(carbon_ledger.reporting.energy_mix).

Rows 1 to 5 have to be told apart by companies of high climate impact sectors alone (paragraph 38);
the table always has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.reporting.energy_mix import EnergyMix, energy_mix
from carbon_ledger.reporting.esrs_profile import Profile, tag
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.metered_kwh import metered_faults
from carbon_ledger.reporting.stated import stated_of
from carbon_ledger.reporting.tables import (
    MEGAWATT_HOURS,
    PERCENT,
    Cell,
    Column,
    Maker,
    Row,
    Section,
    Table,
)

LAW: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772)"
AR_34: Final = f"{LAW}, paragraphs 35-39, AR 32-35"
INTENSITY: Final = f"{LAW}, paragraphs 40-43, AR 36-38"
HUNDRED: Final = Decimal(100)
YEARS: Final = {"comparative": "Comparative", "current": "Year"}

# Row: its label, and what the taxonomy calls it.
FOSSIL_ROWS: Final[dict[str, tuple[str, str]]] = {
    "coal": (
        "1 Fuel consumption from coal and coal products",
        "FuelConsumptionFromCoalAndCoalProducts",
    ),
    "oil": (
        "2 Fuel consumption from crude oil and petroleum products",
        "FuelConsumptionFromCrudeOilAndPetroleumProducts",
    ),
    "natural_gas": ("3 Fuel consumption from natural gas", "FuelConsumptionFromNaturalGas"),
    "other_fossil": (
        "4 Fuel consumption from other fossil sources",
        "FuelConsumptionFromOtherFossilSources",
    ),
    "purchased_fossil": (
        "5 Consumption of purchased or acquired electricity, heat, steam and cooling from fossil "
        "sources",
        "ConsumptionOfPurchasedOrAcquiredElectricityHeatSteamOrCoolingFromFossilSources",
    ),
}
NUCLEAR_ROW: Final[dict[str, tuple[str, str]]] = {
    "nuclear": ("7 Consumption from nuclear sources", "EnergyConsumptionFromNuclearSources"),
}
RENEWABLE_ROWS: Final[dict[str, tuple[str, str]]] = {
    "fuel_renewable": (
        "8 Fuel consumption from renewable sources, including biomass",
        "FuelConsumptionFromRenewableSources",
    ),
    "purchased_renewable": (
        "9 Consumption of purchased or acquired electricity, heat, steam and cooling from "
        "renewable sources",
        "ConsumptionOfPurchasedOrAcquiredElectricityHeatSteamAndCoolingFromRenewableSources",
    ),
    "self_generated": (
        "10 Consumption of self-generated non-fuel renewable energy",
        "ConsumptionOfSelfgeneratedNonfuelRenewableEnergy",
    ),
}
SUM_ROWS: Final[dict[str, tuple[str, str]]] = {
    "fossil": ("6 Total fossil energy consumption", "EnergyConsumptionFromFossilSources"),
    "renewable": ("11 Total renewable energy consumption", "EnergyConsumptionFromRenewableSources"),
    "total": ("Total energy consumption (6 + 7 + 11)", "EnergyConsumptionRelatedToOwnOperations"),
}
SHARE_ROWS: Final[dict[str, tuple[str, str]]] = {
    "fossil": (
        "Share of fossil sources in total energy consumption",
        "PercentageOfFossilSourcesInTotalEnergyConsumption",
    ),
    "nuclear": (
        "Share of consumption from nuclear sources in total energy consumption",
        "PercentageOfEnergyConsumptionFromNuclearSourcesInTotalEnergyConsumption",
    ),
    "renewable": (
        "Share of renewable sources in total energy consumption",
        "PercentageOfRenewableSourcesInTotalEnergyConsumption",
    ),
}
# In the order of the table.
ROWS: Final = (
    *FOSSIL_ROWS,
    "fossil",
    "fossil_share",
    *NUCLEAR_ROW,
    "nuclear_share",
    *RENEWABLE_ROWS,
    "renewable",
    "renewable_share",
    "total",
)
PRODUCTION_ROWS: Final[dict[str, tuple[str, str]]] = {
    "energy_production_non_renewable": (
        "Non-renewable energy production",
        "NonrenewableEnergyProduction",
    ),
    "energy_production_renewable": ("Renewable energy production", "RenewableEnergyProduction"),
}
PER_REVENUE: Final = (
    "EnergyIntensityFromActivitiesInHighClimateImpactSectorsTotalEnergyConsumptionPerNetRevenue"
)


@dataclass(kw_only=True)
class E15:
    """Makes the tables of E1-5 from one set of inputs."""

    inputs: ReportInputs
    profile: Profile
    maker: Maker = field(init=False)
    mixes: dict[str, EnergyMix] = field(init=False)

    def __post_init__(self) -> None:
        self.maker = Maker(cubes=self.inputs.cubes)
        self.name = self.profile.disclosures["energy"]
        self.years = {
            "comparative": self.inputs.comparative,
            "current": self.inputs.fiscal_year,
        }
        self.mixes = {
            column: energy_mix(
                self.inputs.cubes.get(year, ()),
                self.inputs.fuels,
                self.inputs.instrument_sources,
                self.inputs.charging,
            )
            for column, year in self.years.items()
        }

    def section(self) -> Section:
        """Consumption and mix, what it was made from, what is missing, production, intensity."""
        columns = {column: self._column(column) for column in YEARS}
        tables = [self._main(columns), self._parts(), self._not_converted(), self._production()]
        if self.profile.has_revenue_intensity:
            tables.append(self._intensity(columns["current"]["total"]))
        flags = {flag for mix in self.mixes.values() for flag in mix.flags}
        return Section(tables=tuple(tables), cells=self.maker.made, flags=tuple(sorted(flags)))

    # ---- the table of AR 34

    def _main(self, columns: dict[str, dict[str, Cell]]) -> Table:
        return Table(
            table_id=self.name,
            title="Energy consumption and mix",
            columns=tuple(
                Column(column_id=column, heading=f"{words} {self.years[column]}")
                for column, words in YEARS.items()
            ),
            rows=tuple(
                Row(
                    row_id=row_id,
                    label=_label(row_id),
                    cells={column: cells[row_id] for column, cells in columns.items()},
                    is_total=row_id in SUM_ROWS,
                )
                for row_id in ROWS
            ),
            notes=self._notes(),
            citation=AR_34,
        )

    def _notes(self) -> tuple[str, ...]:
        said = [
            "MWh on the net heating value, in the boundary of scopes 1 and 2; sold energy is not "
            "taken off.",
            "Purchased electricity is of the origin that the market-based figures of scope 2 rest "
            "on; without a contractual instrument, and where own generation's certificates were "
            "sold, it is in row 5. A fuel blend is in the row of its fossil part.",
        ]
        if any(mix.not_converted for mix in self.mixes.values()):
            said.append(f"Energy of some entries is not known: see {self.name}-not-determined.")
        return tuple(said)

    def _column(self, column: str) -> dict[str, Cell]:
        parts: dict[str, list[Cell]] = {}
        for part in self.mixes[column].parts:
            made = self.maker.of_entries(
                f"{self.name}/part/{column}/{part.part_id}",
                self.years[column],
                part.selection,
                measure=part.measure,
                unit=MEGAWATT_HOURS,
                scale=part.scale,
                note=part.how,
            )
            parts.setdefault(part.row, []).append(made)
        cells = {
            row_id: self._sum(row_id, column, parts.get(row_id, []), concept)
            for row_id, (_, concept) in {**FOSSIL_ROWS, **NUCLEAR_ROW, **RENEWABLE_ROWS}.items()
        }
        for row_id, rows in (("fossil", FOSSIL_ROWS), ("renewable", RENEWABLE_ROWS)):
            cells[row_id] = self._sum(
                row_id, column, [cells[one] for one in rows], SUM_ROWS[row_id][1]
            )
        whole = [cells[one] for one in ("fossil", "nuclear", "renewable")]
        cells["total"] = self._sum("total", column, whole, SUM_ROWS["total"][1])
        for row_id, (_, concept) in SHARE_ROWS.items():
            cells[f"{row_id}_share"] = self.maker.quotient(
                self._id(f"{row_id}_share", column),
                cells[row_id],
                cells["total"],
                unit=PERCENT,
                scale=HUNDRED,
                tag=tag(self.profile, concept),
            )
        return cells

    def _sum(self, row_id: str, column: str, cells: Sequence[Cell], concept: str) -> Cell:
        return self.maker.sum(
            self._id(row_id, column), cells, tag=tag(self.profile, concept), unit=MEGAWATT_HOURS
        )

    # ---- what it was made from

    def _parts(self) -> Table:
        """Every group of entries of the year, how it was converted, and the row it is in."""
        rows = []
        for part in self.mixes["current"].parts:
            cell_id = f"{self.name}/part/current/{part.part_id}"
            cells = {
                "energy": self.maker.made[cell_id],
                "row": self.maker.text(f"{cell_id}/row", _label(part.row)),
                "how": self.maker.text(f"{cell_id}/how", part.how),
            }
            rows.append(Row(row_id=part.part_id, label=part.part_id, cells=cells))
        return Table(
            table_id=f"{self.name}-parts",
            title="Energy by activity and factor, and how it was converted",
            columns=(
                Column(column_id="energy", heading="Energy", unit=MEGAWATT_HOURS),
                Column(column_id="row", heading="Row"),
                Column(column_id="how", heading="Conversion"),
            ),
            rows=tuple(rows),
            citation=f"{LAW}, AR 32",
        )

    def _not_converted(self) -> Table:
        """Entries of energy that are in no row of the table, in either year."""
        rows = []
        for column, mix in self.mixes.items():
            for one in mix.not_converted:
                cell_id = f"{self.name}/not-determined/{column}/{one.part_id}"
                cells = {
                    "year": self.maker.text(f"{cell_id}/year", str(self.years[column])),
                    "emissions": self.maker.of_entries(cell_id, self.years[column], one.selection),
                    "why": self.maker.text(f"{cell_id}/why", one.why),
                }
                rows.append(Row(row_id=f"{column}|{one.part_id}", label=one.part_id, cells=cells))
        return Table(
            table_id=f"{self.name}-not-determined",
            title="Energy not determined",
            columns=(
                Column(column_id="year", heading="Year"),
                Column(column_id="emissions", heading="Emissions", unit="tCO2e"),
                Column(column_id="why", heading="Why"),
            ),
            rows=tuple(rows),
            notes=("These entries are in no row of the energy consumption: it is higher.",)
            if rows
            else (),
            citation=f"{LAW}, AR 32",
        )

    # ---- production and intensity

    def _production(self) -> Table:
        rows = []
        for subject, (label, concept) in PRODUCTION_ROWS.items():
            cells = {
                column: self._stated(f"{subject}/{column}", subject, year, concept)
                for column, year in self.years.items()
            }
            rows.append(Row(row_id=subject, label=label, cells=cells))
        return Table(
            table_id=f"{self.name}-production",
            title="Energy production",
            columns=tuple(
                Column(
                    column_id=column,
                    heading=f"{words} {self.years[column]}",
                    unit=MEGAWATT_HOURS,
                )
                for column, words in YEARS.items()
            ),
            rows=tuple(rows),
            citation=f"{LAW}, paragraph 39",
        )

    def _stated(self, place: str, subject: str, year: int, concept: str = "") -> Cell:
        """The sum of the year's statements of a subject, each a cell; empty if there is none."""
        cell_id = f"{self.name}/{place}"
        parts = [
            self.maker.stated(
                f"{cell_id}/{one.key or number}",
                one.value,
                source=one.source,
                unit=MEGAWATT_HOURS,
                year=year,
            )
            for number, one in enumerate(stated_of(self.inputs.statements, subject, year), start=1)
            if one.value is not None
        ]
        if not parts:
            return self.maker.empty(cell_id, f"state it: {subject}", unit=MEGAWATT_HOURS)
        if concept:
            return self.maker.sum(
                cell_id, parts, tag=tag(self.profile, concept), unit=MEGAWATT_HOURS
            )
        return self.maker.sum(cell_id, parts, unit=MEGAWATT_HOURS)

    def _intensity(self, total: Cell) -> Table:
        """MWh of activities in high climate impact sectors per net revenue of these (AR 36-38).

        Where all revenue is of such sectors, all energy is.
        """
        year, name = self.inputs.fiscal_year, f"{self.name}/intensity"
        revenue = self.inputs.revenues.get(year)
        high = None if revenue is None else revenue.high_climate_impact
        energy = self._stated("intensity/energy", "high_climate_impact_energy", year)
        if energy.value is None and revenue is not None and high == revenue.amount:
            energy = self.maker.sum(f"{name}/energy-whole", [total], unit=MEGAWATT_HOURS)
        cells = {"energy": energy}
        if revenue is None or high is None:
            why = "no net revenue of high climate impact sectors is registered for the year"
            cells["intensity"] = self.maker.empty(f"{name}/per-revenue", why)
        else:
            used = self.maker.stated(
                f"{name}/revenue-used",
                high,
                source=revenue.source,
                unit=revenue.currency,
                year=year,
            )
            whole = self.maker.stated(
                f"{name}/revenue",
                revenue.amount,
                source=revenue.source,
                unit=revenue.currency,
                year=year,
            )
            cells["intensity"] = self.maker.quotient(
                f"{name}/per-revenue",
                energy,
                used,
                unit=f"{MEGAWATT_HOURS}/{revenue.currency}",
                tag=tag(self.profile, PER_REVENUE),
            )
            cells["revenue_used"] = used
            cells["revenue_other"] = self.maker.difference(
                f"{name}/revenue-other", whole, used, unit=revenue.currency
            )
            cells["revenue"] = whole
        labels = {
            "energy": "Total energy consumption from activities in high climate impact sectors",
            "intensity": "Energy intensity: total energy consumption per net revenue, activities "
            "in high climate impact sectors",
            "revenue_used": "Net revenue from activities in high climate impact sectors",
            "revenue_other": "Net revenue from other activities",
            "revenue": "Total net revenue (financial statements)",
        }
        return Table(
            table_id=f"{self.name}-intensity",
            title="Energy intensity based on net revenue",
            columns=(Column(column_id="value", heading=str(year)),),
            rows=tuple(
                Row(row_id=row_id, label=labels[row_id], cells={"value": cell})
                for row_id, cell in cells.items()
            ),
            citation=INTENSITY,
        )

    def _id(self, row_id: str, column: str) -> str:
        return f"{self.name}/{row_id}/{column}"


def e1_5(inputs: ReportInputs, profile: Profile) -> Section:
    """The tables of E1-5, by the profile's names; flagged where energy or origin is not known."""
    return E15(inputs=inputs, profile=profile).section()


def _label(row_id: str) -> str:
    if row_id.endswith("_share"):
        return SHARE_ROWS[row_id.removesuffix("_share")][0]
    return {**FOSSIL_ROWS, **NUCLEAR_ROW, **RENEWABLE_ROWS, **SUM_ROWS}[row_id][0]


# ---- the checks of the taxonomy, and between the tables

_SUMS: Final[dict[str, tuple[str, ...]]] = {
    "fossil": tuple(FOSSIL_ROWS),
    "renewable": tuple(RENEWABLE_ROWS),
    "total": ("fossil", "nuclear", "renewable"),
}


def energy_faults(section: Section, inputs: ReportInputs, profile: Profile) -> tuple[str, ...]:
    """What does not add up in a section of E1-5, each in words; nothing if all does.

    The sums of the taxonomy (fossil, renewable, total = 6 + 7 + 11), shares, revenue; and that
    market-based kWh are the metered ones, that not more is consumed of own generation than is
    produced, and that high climate impact sectors consume no more than all.
    """
    name = profile.disclosures["energy"]
    values = {
        cell_id: cell.value
        for cell_id, cell in section.cells.items()
        if isinstance(cell.value, Decimal)
    }
    found: list[str] = []
    for column in YEARS:
        found += _column_faults(values, name, column)
        produced = values.get(f"{name}/energy_production_renewable/{column}")
        own = values.get(f"{name}/self_generated/{column}")
        if produced is not None and own is not None and own > produced:
            found.append(
                f"{column}: {_text(own)} MWh of own generation consumed, {_text(produced)} produced"
            )
    used, other, whole = (
        values.get(f"{name}/intensity/{one}")
        for one in ("revenue-used", "revenue-other", "revenue")
    )
    if used is not None and other is not None and PRODUCT.add(used, other) != whole:
        found.append(f"revenue {_text(whole)} is not the sum of {_text(used)} and {_text(other)}")
    if other is not None and other < 0:
        found.append(
            f"revenue of high climate impact sectors {_text(used)} is above {_text(whole)}"
        )
    part, total = (values.get(f"{name}/{one}") for one in ("intensity/energy", "total/current"))
    if part is not None and (total is None or part > total):
        found.append(f"high climate impact sectors consume {_text(part)} MWh of {_text(total)}")
    for year in (inputs.comparative, inputs.fiscal_year):
        of_year = metered_faults(inputs.cubes.get(year, ()), inputs.charging)
        found += [f"{year}: {one}" for one in of_year]
    return tuple(found)


def _column_faults(values: dict[str, Decimal], name: str, column: str) -> list[str]:
    found = []
    for row_id, parts in _SUMS.items():
        figures = [values[one] for one in (f"{name}/{p}/{column}" for p in parts) if one in values]
        total = Decimal(0)
        for one in figures:
            total = PRODUCT.add(total, one)
        stated = values.get(f"{name}/{row_id}/{column}")
        if (stated if figures else stated or Decimal(0)) != total:
            found.append(f"{column}: {row_id} is {_text(stated)}, its parts are {_text(total)} MWh")
    shares = [values.get(f"{name}/{one}_share/{column}") for one in SHARE_ROWS]
    known = [one for one in shares if one is not None]
    if known and abs(sum(known) - HUNDRED) > len(known) * _SHARE_ROUNDING:
        found.append(f"{column}: the shares {', '.join(map(_text, known))} are not 100 %")
    return found


# A share has 12 decimals.
_SHARE_ROUNDING: Final = Decimal("0.000000000001")


def _text(value: Decimal | None) -> str:
    return "nothing" if value is None else canonical_text(value)
