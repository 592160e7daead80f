"""ESRS E1-7: GHG removals and storage, and carbon credits, as the company states them.

Belongs here: the tables of paragraphs 56-61 and AR 57-64. Does not: gross emissions (esrs_e1_6):
nothing of this is taken off them, nor counts towards a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.reporting.esrs_profile import Profile, tag
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.stated import Stated, stated_of
from carbon_ledger.reporting.tables import (
    PERCENT,
    TONNES,
    UNTAGGED,
    Cell,
    Column,
    Maker,
    Row,
    Section,
    Table,
    Tag,
)

LAW: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772)"
REMOVALS: Final = f"{LAW}, paragraphs 56-58, AR 57-60"
CREDITS: Final = f"{LAW}, paragraph 59, AR 61-64"
NEVER_NETTED: Final = (
    "Neither removals nor credits are taken off the gross emissions, nor count towards the "
    "targets of GHG emission reduction."
)
HUNDRED: Final = Decimal(100)
YEARS: Final = {"comparative": "Comparative", "current": "Year"}
STORED: Final = {
    "removal_own": "Removals and storage in own operations",
    "removal_value_chain": "Removals and storage in the upstream and downstream value chain",
}
# Parts of the credits cancelled, and how each is called as a share.
SHARES: Final = {
    "credits_removal": "Share from removal projects",
    "credits_eu": "Share from projects in the European Union",
    "credits_adjusted": "Share with a corresponding adjustment under Article 6 of the Paris "
    "Agreement",
}
CANCELLED: Final = (
    "AmountOfCarbonCreditsOutsideValueChainThatAreVerifiedAgainstRecognisedQualityStandards"
    "AndCancelled"
)


@dataclass(kw_only=True)
class E17:
    """Makes the tables of E1-7 from one set of inputs."""

    inputs: ReportInputs
    profile: Profile
    maker: Maker = field(init=False)

    def __post_init__(self) -> None:
        self.maker = Maker(cubes=self.inputs.cubes)
        self.name = self.profile.disclosures["removals"]
        self.years = {
            "comparative": self.inputs.comparative,
            "current": self.inputs.fiscal_year,
        }

    def section(self) -> Section:
        """Removals, credits cancelled, credits planned to be."""
        tables = (self._removals(), self._credits(), self._planned())
        return Section(tables=tables, cells=self.maker.made)

    def _removals(self) -> Table:
        """By activity, in own operations and the value chain apart, and what they emit or lose."""
        rows: list[Row] = []
        totals: dict[str, list[Cell]] = {column: [] for column in YEARS}
        for subject, label in STORED.items():
            for key in self._keys(subject):
                cells = {
                    column: self._one(f"{subject}/{key}/{column}", subject, year, key)
                    for column, year in self.years.items()
                }
                rows.append(Row(row_id=f"{subject}/{key}", label=f"{label}: {key}", cells=cells))
                for column, cell in cells.items():
                    totals[column].append(cell)
        rows.append(
            Row(
                row_id="removals",
                label="Total GHG removals and storage",
                cells={
                    column: self.maker.sum(
                        f"{self.name}/removals/{column}",
                        cells,
                        tag=self._tag("GHGRemovalsAndStorage"),
                    )
                    for column, cells in totals.items()
                },
                is_total=True,
            )
        )
        for subject, label, concept in (
            (
                "removal_emissions",
                "GHG emissions of removal activities",
                "GHGEmissionsAssociatedWithRemovalActivity",
            ),
            ("removal_reversal", "Reversals", "Reversals"),
        ):
            cells = {
                column: self._sum(f"{subject}/{column}", subject, year, self._tag(concept))
                for column, year in self.years.items()
            }
            rows.append(Row(row_id=subject, label=label, cells=cells))
        return self._table("", "GHG removals and storage", rows, REMOVALS)

    def _credits(self) -> Table:
        """By quality standard, and the shares of what was cancelled."""
        keys = self._keys("credits_cancelled")
        standards: dict[str, dict[str, Cell]] = {
            key: {
                column: self._one(f"cancelled/{key}/{column}", "credits_cancelled", year, key)
                for column, year in self.years.items()
            }
            for key in keys
        }
        total = {
            column: self.maker.sum(
                f"{self.name}/cancelled/{column}",
                [cells[column] for cells in standards.values()],
                tag=self._tag(CANCELLED),
            )
            for column in YEARS
        }
        rows = [
            Row(row_id=f"cancelled/{key}", label=f"Cancelled, {key}", cells=cells)
            for key, cells in standards.items()
        ]
        rows.append(
            Row(
                row_id="cancelled",
                label="Total carbon credits cancelled",
                cells=total,
                is_total=True,
            )
        )
        for key, cells in standards.items():
            rows.append(self._shares(f"standard/{key}", f"Share under {key}", cells, total))
        for subject, label in SHARES.items():
            parts = {
                column: self._sum(f"{subject}/amount/{column}", subject, year)
                for column, year in self.years.items()
            }
            rows.append(self._shares(subject, label, parts, total))
            if subject == "credits_removal":
                reduction = {
                    column: self.maker.difference(
                        f"{self.name}/credits_reduction/amount/{column}", total[column], part
                    )
                    for column, part in parts.items()
                }
                rows.append(
                    self._shares(
                        "credits_reduction", "Share from reduction projects", reduction, total
                    )
                )
        return self._table("-credits", "Carbon credits cancelled in the year", rows, CREDITS)

    def _planned(self) -> Table:
        """By the year in which they are to be cancelled; of the reporting year alone."""
        year = self.inputs.fiscal_year
        rows = [
            Row(
                row_id=one.key,
                label=f"To be cancelled in {one.key}",
                cells={
                    "current": self._one(f"planned/{one.key}", "credits_planned", year, one.key)
                },
            )
            for one in self._stated("credits_planned", year)
        ]
        total = self.maker.sum(
            f"{self.name}/planned", [cell for row in rows for cell in row.cells.values()]
        )
        rows.append(
            Row(
                row_id="planned",
                label="Total planned to be cancelled",
                cells={"current": total},
                is_total=True,
            )
        )
        return Table(
            table_id=f"{self.name}-planned",
            title="Carbon credits planned to be cancelled",
            columns=(Column(column_id="current", heading=f"Stated in {year}", unit=TONNES),),
            rows=tuple(rows),
            notes=(NEVER_NETTED,),
            citation=CREDITS,
        )

    def _table(self, suffix: str, title: str, rows: Sequence[Row], citation: str) -> Table:
        return Table(
            table_id=f"{self.name}{suffix}",
            title=title,
            columns=tuple(
                Column(column_id=column, heading=f"{words} {self.years[column]}")
                for column, words in YEARS.items()
            ),
            rows=tuple(rows),
            notes=(NEVER_NETTED,),
            citation=citation,
        )

    def _shares(
        self, row_id: str, label: str, parts: dict[str, Cell], total: dict[str, Cell]
    ) -> Row:
        cells = {
            column: self.maker.quotient(
                f"{self.name}/share/{row_id}/{column}",
                part,
                total[column],
                unit=PERCENT,
                scale=HUNDRED,
            )
            for column, part in parts.items()
        }
        return Row(row_id=f"share/{row_id}", label=label, cells=cells)

    # ---- statements

    def _stated(self, subject: str, year: int) -> list[Stated]:
        found = stated_of(self.inputs.statements, subject, year)
        return [one for one in found if one.value is not None]

    def _keys(self, subject: str) -> list[str]:
        """What the subject is stated of in either year, in order."""
        return sorted(
            {one.key for year in self.years.values() for one in self._stated(subject, year)}
        )

    def _one(self, place: str, subject: str, year: int, key: str) -> Cell:
        """What is stated of one key."""
        cell_id = f"{self.name}/{place}"
        for one in self._stated(subject, year):
            if one.key == key and one.value is not None:
                return self.maker.stated(
                    cell_id, one.value, source=one.source, unit=TONNES, year=year
                )
        return self.maker.empty(cell_id, "not stated", unit=TONNES)

    def _sum(self, place: str, subject: str, year: int, marked: Tag = UNTAGGED) -> Cell:
        """The sum of all that is stated of a subject, each statement a cell."""
        parts = [
            self.maker.stated(
                f"{self.name}/{place}/{one.key or number}",
                one.value,
                source=one.source,
                unit=TONNES,
                year=year,
            )
            for number, one in enumerate(self._stated(subject, year), start=1)
            if one.value is not None
        ]
        if not parts:
            return self.maker.empty(f"{self.name}/{place}", "not stated", unit=TONNES)
        return self.maker.sum(f"{self.name}/{place}", parts, tag=marked)

    def _tag(self, concept: str) -> Tag:
        return tag(self.profile, concept)


def e1_7(inputs: ReportInputs, profile: Profile) -> Section:
    """The tables of E1-7, by the profile's names; what is not stated is empty."""
    return E17(inputs=inputs, profile=profile).section()


def removal_faults(section: Section, profile: Profile) -> tuple[str, ...]:
    """What cannot be in a section of E1-7, each in words: a share of the credits below nothing or
    above all of them, and quality standards that are not all of what was cancelled.
    """
    name = profile.disclosures["removals"]
    found = []
    for cell_id, cell in section.cells.items():
        is_share = cell_id.startswith(f"{name}/share/") and isinstance(cell.value, Decimal)
        if is_share and not 0 <= cell.number <= HUNDRED:
            found.append(f"{cell_id}: {canonical_text(cell.number)} % of the credits cancelled")
    for column in YEARS:
        figures = [
            cell.value
            for cell_id, cell in section.cells.items()
            if cell_id.startswith(f"{name}/share/standard/")
            and cell_id.endswith(f"/{column}")
            and isinstance(cell.value, Decimal)
        ]
        total = Decimal(0)
        for one in figures:
            total = PRODUCT.add(total, one)
        if figures and abs(PRODUCT.subtract(total, HUNDRED)) > len(figures) * _ROUNDING:
            found.append(
                f"{column}: the standards are {canonical_text(total)} % of the credits cancelled"
            )
    return tuple(found)


# A share has 12 decimals.
_ROUNDING: Final = Decimal("0.000000000001")
