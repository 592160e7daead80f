"""CDP 7.30 and its parts: energy by activity, fuel, carrier, country, and low-carbon instruments.

Belongs here: those answers, from the same groups of entries as ESRS E1-5. Does not: which entries
are energy and how they become MWh (carbon_ledger.reporting.energy_mix), what is asked
(cdp_energy_questions).

MWh are on the net heating value, as in ESRS E1-5. Nuclear is not renewable. Which fuel generates
what, what is generated and where it comes from are statements: no entry says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from carbon_ledger.countries import COUNTRY_NAMES
from carbon_ledger.energy.instruments import INSTRUMENT
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reporting.cdp_answers import Answers
from carbon_ledger.reporting.cdp_energy_questions import ENERGY_LISTS
from carbon_ledger.reporting.cdp_profile import cell_id
from carbon_ledger.reporting.cdp_questions import NO, OTHER, YES
from carbon_ledger.reporting.cube import CubeRow, selected, total_of
from carbon_ledger.reporting.energy_mix import EnergyMix, EnergyPart, energy_mix, own_generation
from carbon_ledger.reporting.esrs_e1_6_groups import NOT_REGISTERED
from carbon_ledger.reporting.tables import MEGAWATT_HOURS, Cell, Row, Table

NET: Final = ENERGY_LISTS["heating_value"][0]
ACTIVITY: Final[Mapping[str, str]] = {
    "fuel": "Consumption of fuel (excluding feedstocks)",
    "electricity": "Consumption of purchased or acquired electricity",
    "heat": "Consumption of purchased or acquired heat",
    "steam": "Consumption of purchased or acquired steam",
    "cooling": "Consumption of purchased or acquired cooling",
    "self_generated": "Consumption of self-generated non-fuel renewable energy",
}
GENERATION: Final = "Generation of electricity, heat, steam, or cooling"
PRODUCTION: Final = ("energy_production_renewable", "energy_production_non_renewable")
CARRIERS: Final[Mapping[str, str]] = {
    "electricity": "Electricity",
    "heat": "Heat",
    "steam": "Steam",
    "cooling": "Cooling",
}
# Rows of ESRS E1-5 that are burnt, that come from renewable sources, that count as low-carbon.
BURNT: Final = ("coal", "oil", "natural_gas", "other_fossil", "fuel_renewable")
RENEWABLE: Final = ("fuel_renewable", "purchased_renewable", "self_generated")
LOW_CARBON: Final = ("purchased_renewable", "nuclear")
# Row of 7.30.7: the rows of ESRS E1-5 in it. Every renewable fuel of the published tables is of
# biological origin; that it is sustainable is attested by no entry.
FUEL_ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "Sustainable biomass": (),
    "Other biomass": ("fuel_renewable",),
    "Other renewable fuels (e.g. renewable hydrogen)": (),
    "Coal": ("coal",),
    "Oil": ("oil",),
    "Gas": ("natural_gas",),
    "Other non-renewable fuels (e.g. non-renewable hydrogen)": ("other_fossil",),
}
FUEL_USES: Final = ("electricity", "heat", "steam", "cooling", "cogeneration")
# kgCO2e per kWh up to which a rate is zero or near zero: a decision of this project, the
# questionnaire has no number.
NEAR_ZERO: Final = Decimal("0.05")
SOURCING: Final[Mapping[str, str]] = {
    "certificate_unbundled": "Unbundled procurement of energy attribute certificates (EACs)",
    "certificate_bundled": "Retail supply contract with an electricity supplier (retail green "
    "electricity)",
    "supplier_rate": "Retail supply contract with an electricity supplier (retail green "
    "electricity)",
    "ppa": "Physical power purchase agreement (physical PPA) with a grid-connected generator",
    "": "Direct line to an off-site generator owned by a third party with no grid transfers "
    "(direct line PPA)",
}
TECHNOLOGY: Final[Mapping[str, str]] = {
    "wind": "Wind",
    "wind_onshore": "Wind",
    "wind_offshore": "Wind",
    "solar": "Solar",
    "hydro": "Hydropower (capacity unknown)",
    "geothermal": "Geothermal",
    "tidal": "Tidal",
    "wave": "Wave",
    "nuclear": "Nuclear",
}
# Columns of 7.30.14 that only a statement about the instrument fills.
INSTRUMENT_COLUMNS: Final[Mapping[str, str]] = {
    "tracking": "instrument_tracking",
    "origin": "instrument_origin",
    "commissioned": "instrument_commissioned",
}
INCOMPLETE: Final = "entries whose energy is not determined are in no row: see ESRS E1-5"


def energy(answers: Answers) -> tuple[Table, ...]:
    """The tables of 7.30 to 7.30.16."""
    return EnergyAnswers(answers=answers).tables()


def activity_row(part: EnergyPart) -> str:
    """The activity of 7.30.1 that entries are in."""
    if part.row in BURNT:
        return "fuel"
    if part.row == "self_generated":
        return "self_generated"
    (activity_type,) = part.selection.activity_types
    return activity_type if activity_type in CARRIERS else "electricity"


@dataclass(kw_only=True)
class EnergyAnswers:
    """Makes the tables of energy, each group of entries once as a cell of its own."""

    answers: Answers
    mix: EnergyMix = field(init=False)
    generated: tuple[EnergyPart, ...] = field(init=False)
    cells: dict[str, Cell] = field(init=False)

    def __post_init__(self) -> None:
        inputs = self.answers.inputs
        self.mix = energy_mix(
            self._rows(), inputs.fuels, inputs.instrument_sources, inputs.charging
        )
        self.generated = own_generation(self._rows())
        self.cells = {part.part_id: self._part("7.30.1", "part", part) for part in self.mix.parts}

    def tables(self) -> tuple[Table, ...]:
        """7.30, 7.30.1, 7.30.7, 7.30.9, 7.30.14, 7.30.16."""
        totals = self._totals()
        return (
            self._undertaken(totals),
            totals,
            self._fuels(),
            self._generation(),
            self._low_carbon(),
            self._countries(),
        )

    def _rows(self) -> Sequence[CubeRow]:
        return self.answers.inputs.cubes.get(self.answers.year, ())

    def _part(self, number: str, row_id: str, part: EnergyPart) -> Cell:
        return self.answers.maker.of_entries(
            cell_id(number, row_id, part.part_id),
            self.answers.year,
            part.selection,
            measure=part.measure,
            unit=MEGAWATT_HOURS,
            scale=part.scale,
            note=part.how,
        )

    def _sum(self, number: str, row_id: str, column: str, cells: Iterable[Cell]) -> Cell:
        name = cell_id(number, row_id, column)
        return self.answers.maker.sum(name, list(cells), unit=MEGAWATT_HOURS)

    def _of(self, wanted: Callable[[EnergyPart], bool]) -> list[Cell]:
        return [self.cells[part.part_id] for part in self.mix.parts if wanted(part)]

    @property
    def _notes(self) -> tuple[str, ...]:
        return (INCOMPLETE,) if self.mix.not_converted else ()

    # ---- 7.30 and 7.30.1

    def _undertaken(self, totals: Table) -> Table:
        rows = []
        produced = [*map(self.answers.statements, PRODUCTION)]
        for row_id, label in {**ACTIVITY, "self_generated": GENERATION}.items():
            has = isinstance(totals.cell(row_id, "total").value, Decimal)
            if row_id == "self_generated":
                has = has or any(produced) or bool(self.generated)
            cell = self.answers.text("7.30", row_id, "undertaken", YES if has else NO)
            rows.append(Row(row_id=row_id, label=label, cells={"undertaken": cell}))
        return self.answers.table("7.30", rows, self._notes)

    def _totals(self) -> Table:
        rows = []
        for row_id, label in ACTIVITY.items():
            cells = {
                column: self._sum("7.30.1", row_id, column, self._split(row_id, column))
                for column in ("renewable", "non_renewable")
            }
            cells["total"] = self._sum("7.30.1", row_id, "total", cells.values())
            if row_id == "fuel":
                cells["heating_value"] = self.answers.text("7.30.1", "fuel", "heating_value", NET)
            rows.append(Row(row_id=row_id, label=label, cells=cells))
        whole = {
            column: self._sum("7.30.1", "all", column, [one.cells[column] for one in rows])
            for column in ("renewable", "non_renewable", "total")
        }
        label = ENERGY_LISTS["energy_activity"][-1]
        rows.append(Row(row_id="all", label=label, cells=whole, is_total=True))
        return self.answers.table("7.30.1", rows, self._notes)

    def _split(self, row_id: str, column: str) -> list[Cell]:
        return self._of(
            lambda part: (
                activity_row(part) == row_id and (part.row in RENEWABLE) == (column == "renewable")
            )
        )

    # ---- 7.30.7

    def _fuels(self) -> Table:
        rows = []
        for label, of in FUEL_ROWS.items():
            cells = {
                "total": self._sum("7.30.7", label, "total", self._fuel(of)),
                **{use: self._used(label, use) for use in FUEL_USES},
            }
            if cells["total"].value is not None:
                cells["heating_value"] = self.answers.text("7.30.7", label, "heating_value", NET)
                words = "on the net heating value; not of attested sustainability"
                if label == "Other biomass":
                    cells["comment"] = self.answers.explained("7.30.7", label, "comment", words)
            rows.append(Row(row_id=label, label=label, cells=cells))
        label = ENERGY_LISTS["fuel"][-1]
        whole = {
            column: self._sum("7.30.7", label, column, [one.cells[column] for one in rows])
            for column in ("total", *FUEL_USES)
        }
        rows.append(Row(row_id=label, label=label, cells=whole, is_total=True))
        return self.answers.table("7.30.7", rows, self._notes)

    def _fuel(self, of: tuple[str, ...]) -> list[Cell]:
        return self._of(lambda part: part.row in of)

    def _used(self, fuel: str, use: str) -> Cell:
        statement = self.answers.statement("fuel_for_generation", f"{fuel}/{use}")
        return self.answers.told("7.30.7", fuel, use, statement, MEGAWATT_HOURS)

    # ---- 7.30.9

    def _generation(self) -> Table:
        rows = []
        for row_id, label in CARRIERS.items():
            made = {
                kind: self._stated("7.30.9", row_id, subject)
                for kind, subject in (
                    ("renewable", PRODUCTION[0]),
                    ("other", PRODUCTION[1]),
                    ("other_consumed", "generation_consumed"),
                )
            }
            own, kept = self._own_generation() if row_id == "electricity" else ([], [])
            cells = {
                "gross": self._sum("7.30.9", row_id, "gross", (*made["renewable"], *made["other"])),
                "consumed": self._sum(
                    "7.30.9", row_id, "consumed", (*own, *made["other_consumed"])
                ),
                "gross_renewable": self._sum(
                    "7.30.9", row_id, "gross_renewable", made["renewable"]
                ),
                "consumed_renewable": self._sum("7.30.9", row_id, "consumed_renewable", kept),
            }
            rows.append(Row(row_id=row_id, label=label, cells=cells))
        return self.answers.table("7.30.9", rows)

    def _own_generation(self) -> tuple[list[Cell], list[Cell]]:
        """Energy generated without fuel and consumed; and what of it is renewable: that whose
        certificates were kept.
        """
        own = [self._part("7.30.9", "electricity", part) for part in self.generated]
        return own, self._of(lambda part: part.row == "self_generated")

    def _stated(self, number: str, carrier: str, subject: str) -> list[Cell]:
        """Statements of a carrier; one whose key is no carrier is of electricity."""
        found = []
        for at, one in enumerate(self.answers.statements(subject), 1):
            of = one.key if one.key in CARRIERS else "electricity"
            if of == carrier:
                name = f"{subject}_{at}"
                found.append(self.answers.told(number, carrier, name, one, MEGAWATT_HOURS))
        return found

    # ---- 7.30.14

    def _low_carbon(self) -> Table:
        rows: list[Row] = []
        for part in self.mix.parts:
            if part.row not in LOW_CARBON or not part.selection.factor_ids:
                continue
            entries = selected(self._rows(), part.selection)
            if not _is_near_zero(part, entries):
                continue
            for country in sorted({row.country_iso2 for row in entries}):
                rows.append(self._instrument(part, country, at=len(rows) + 1))
        return self.answers.table("7.30.14", rows)

    def _instrument(self, part: EnergyPart, country: str, at: int) -> Row:
        row_id, answers = f"row_{at}", self.answers
        (factor_id,) = part.selection.factor_ids
        kind = answers.inputs.instrument_kinds.get(factor_id, "")
        source = answers.inputs.instrument_sources.get(factor_id, "").strip().lower()
        technology = TECHNOLOGY.get(source.replace(" ", "_"), f"{OTHER}: {source}")
        narrowed = replace(part, selection=replace(part.selection, countries=(country,)))
        instrument = factor_id.removeprefix(INSTRUMENT)
        told = {
            column: answers.told("7.30.14", row_id, column, answers.statement(subject, instrument))
            for column, subject in INSTRUMENT_COLUMNS.items()
        }
        is_able = told["commissioned"].value is not None
        cells = {
            "method": answers.text("7.30.14", row_id, "method", _sourcing(kind)),
            "carrier": answers.text("7.30.14", row_id, "carrier", CARRIERS["electricity"]),
            "technology": answers.text("7.30.14", row_id, "technology", technology),
            "energy": self._part("7.30.14", row_id, narrowed),
            **told,
            "is_able": answers.text("7.30.14", row_id, "is_able", YES if is_able else NO),
            "comment": answers.text("7.30.14", row_id, "comment", instrument),
        }
        return Row(row_id=row_id, label=_country(country), cells=cells)

    # ---- 7.30.16

    def _countries(self) -> Table:
        by_country = self._by_country(part for part in self.mix.parts if part.row not in BURNT)
        generated = self._by_country(self.generated)
        rows = []
        for country, its in sorted(by_country.items()):
            columns: dict[str, list[Cell]] = defaultdict(list)
            for part in its:
                columns[_column(part)].append(self._part("7.30.16", country, part))
            own = [self._part("7.30.16", country, part) for part in generated.get(country, ())]
            purchased, self_generated = self._split_own(country, columns, own)
            cells = {
                "purchased": purchased,
                "self_generated": self_generated,
                "heat_purchased": self._sum(
                    "7.30.16", country, "heat_purchased", columns["heat_purchased"]
                ),
            }
            cells["heat_self_generated"] = self.answers.maker.empty(
                cell_id("7.30.16", country, "heat_self_generated"),
                "own heat is counted as the fuel or power it is made from",
                unit=MEGAWATT_HOURS,
            )
            cells["total"] = self._sum("7.30.16", country, "total", list(cells.values()))
            rows.append(Row(row_id=country, label=_country(country), cells=cells))
        return self.answers.table("7.30.16", rows)

    def _by_country(self, parts: Iterable[EnergyPart]) -> dict[str, list[EnergyPart]]:
        """Each part as often as there are countries it has entries in, narrowed to that."""
        found: dict[str, list[EnergyPart]] = defaultdict(list)
        for part in parts:
            for country in {row.country_iso2 for row in selected(self._rows(), part.selection)}:
                selection = replace(part.selection, countries=(country,))
                found[country].append(replace(part, selection=selection))
        return found

    def _split_own(
        self, country: str, columns: Mapping[str, list[Cell]], own: list[Cell]
    ) -> tuple[Cell, Cell]:
        """Power purchased and self-generated. Own generation whose certificates were sold is among
        what is purchased in the mix, which goes by origin; where it comes from, it is own.
        """
        number, maker = "7.30.16", self.answers.maker
        bought, kept = columns["purchased"], columns["self_generated"]
        sold = PRODUCT.subtract(_total(own), _total(kept))
        if not bought or sold <= 0:
            return (
                self._sum(number, country, "purchased", bought),
                self._sum(number, country, "self_generated", kept),
            )
        whole = self._sum(number, country, "purchased_by_origin", bought)
        generated = self._sum(number, country, "self_generated", own)
        taken_off = generated
        if kept:
            renewable = self._sum(number, country, "certificates_kept", kept)
            name = cell_id(number, country, "certificates_sold")
            taken_off = maker.difference(name, generated, renewable, unit=MEGAWATT_HOURS)
        name = cell_id(number, country, "purchased")
        return maker.difference(name, whole, taken_off, unit=MEGAWATT_HOURS), generated


def _total(cells: Iterable[Cell]) -> Decimal:
    total = Decimal(0)
    for one in cells:
        total = PRODUCT.add(total, one.number)
    return total


def _column(part: EnergyPart) -> str:
    row = activity_row(part)
    if row == "self_generated":
        return row
    return "purchased" if row == "electricity" else "heat_purchased"


def _sourcing(kind: str) -> str:
    return SOURCING.get(kind, f"{OTHER}: {kind}")


def _country(country: str) -> str:
    return COUNTRY_NAMES.get(country, f"Country {NOT_REGISTERED}")


def _is_near_zero(part: EnergyPart, rows: Sequence[CubeRow]) -> bool:
    """Whether kgCO2e per kWh of the entries are at most NEAR_ZERO."""
    kwh = PRODUCT.multiply(total_of(rows, part.measure), part.scale.scaleb(3))
    return total_of(rows) <= PRODUCT.multiply(kwh, NEAR_ZERO)
