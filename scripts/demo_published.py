"""Published figures as the demo company's oracle reads them: the seed files, and nothing else.

Belongs here: its own reading of the files, and its own units. Does not: what is calculated with the
figures (scripts.demo_truth), anything of the ledger's code; a test holds this module to the
standard library.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

SEEDS = Path(__file__).resolve().parent.parent / "factor_seeds"

Row = Mapping[str, str]


class TruthError(ValueError):
    """An activity or a factor this oracle has no rule for."""


@dataclass(kw_only=True)
class Tables:
    """The seed files, each read when it is first asked for."""

    folder: Path = SEEDS
    read: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    found: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    def one(self, name: str, **wanted: str) -> dict[str, str]:
        """The only row with these values, of the file `table/source`."""
        key = (name, *(part for pair in wanted.items() for part in pair))
        if key not in self.found:
            self.found[key] = self._only(name, wanted)
        return self.found[key]

    def _only(self, name: str, wanted: Mapping[str, str]) -> dict[str, str]:
        if name not in self.read:
            path = self.folder / f"{name}.csv"
            with path.open(encoding="utf-8", newline="") as file:
                self.read[name] = list(csv.DictReader(file))
        found = [
            row
            for row in self.read[name]
            if all(row[column] == value for column, value in wanted.items())
        ]
        if len(found) != 1:
            raise TruthError(f"{name}: {len(found)} rows are {wanted}; exactly one was expected")
        return found[0]

    def potential(self, gas: str) -> Fraction:
        """AR6, 100 years."""
        name = "gwp/openclimatedata_gwp"
        row = self.one(name, gas=gas, assessment_report="AR6", horizon_years="100", kind="species")
        return Fraction(row["gwp"])

    def masses(self, amount: Fraction, row: Row, unit: str) -> dict[str, Fraction]:
        """kg of each gas in an amount of what a row is of; nothing where one is not published."""
        kg = {gas: row[f"kg_{gas.lower()}_per_{unit}"] for gas in ("CO2", "CH4", "N2O")}
        if not all(kg.values()):
            return {}
        return {gas: amount * Fraction(value) for gas, value in kg.items()}

    def weighed(self, row: Row, unit: str) -> Fraction:
        """kgCO2e per unit: the gases weighed by AR6 if all three are published, else the total."""
        gases = [(gas, row[f"kg_{gas.lower()}_per_{unit}"]) for gas in ("CO2", "CH4", "N2O")]
        if all(value for _, value in gases):
            return sum((Fraction(value) * self.potential(gas) for gas, value in gases), Fraction(0))
        return Fraction(row[f"kgco2e_per_{unit}"])

    def grid(self, country: str, region: str | None, year: int) -> Fraction:
        """Location-based kgCO2e per kWh.

        The publisher of the place's own grid where there is one (GB, states of the US, of the year
        or the last before it), else the life cycle figure of the country.
        """
        return self.weighed(self.grid_row(country, region, year), "kwh")

    def grid_row(self, country: str, region: str | None, year: int) -> Row:
        """The published row of a grid."""
        if country == "GB":
            return self.one(f"grid/desnz_{year}", country_iso2="GB")
        if country == "US":
            return self.one("grid/epa_egrid2023_state", region=region or "", method="location")
        return self.one("grid/ember_owid_2026", country_iso2=country, year=str(year))

    def fuel(self, fuel: str, stage: str, unit: str, year: int) -> Fraction:
        """kgCO2e per unit of a fuel; the British tables stand in for every country."""
        return self.weighed(self.fuel_row(fuel, stage, unit, year), "unit")

    def fuel_row(self, fuel: str, stage: str, unit: str, year: int) -> Row:
        """The published row of a fuel."""
        return self.one(f"fuel/desnz_{year}", fuel=fuel, stage=stage, unit=unit, use="any")

    def freight(self, mode: str, stage: str, year: int) -> Fraction:
        """kgCO2e per tonne-kilometre of the average of all transport by a mode."""
        names = {
            "road": {"vehicle_group": "HGV (all diesel)", "vehicle_class": "All HGVs"},
            "rail": {"vehicle_group": "Rail", "vehicle_class": "Freight train"},
        }[mode]
        variant = "Average laden" if mode == "road" else ""
        row = self.one(
            f"transport/desnz_{year}",
            category="freight",
            stage=stage,
            unit="tonne_km",
            variant=variant,
            **names,
        )
        return self.weighed(row, "unit")

    def spend(self, naics_code: str) -> tuple[Fraction, int]:
        """kgCO2e per USD in purchaser prices, and the year of those dollars.

        The total as published: it has gases that are not given apart.
        """
        row = self.one("spend/epa_scef_v13", naics_code=naics_code)
        return Fraction(row["kgco2e_per_usd_with_margins"]), int(row["price_year"])

    def dollars(self, currency: str, year: int) -> Fraction:
        """USD per unit of a currency, the mean of the year, by way of the euro."""
        per_euro = Fraction(1) if currency == "EUR" else self._per_euro(currency, year)
        return self._per_euro("USD", year) / per_euro

    def _per_euro(self, currency: str, year: int) -> Fraction:
        row = self.one("fx_deflators/ecb_eurofxref", currency=currency, year=str(year))
        return Fraction(row["value"])

    def prices(self, year: int) -> Fraction:
        """The price index of US consumers."""
        return Fraction(self.one("fx_deflators/bls_cpi_u", year=str(year))["value"])
