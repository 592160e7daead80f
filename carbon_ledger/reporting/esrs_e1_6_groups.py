"""Scopes 1 and 2 of the consolidated accounting group, and of what else is under its control.

Belongs here: the table of ESRS E1, paragraph 50, and which entities are in which of its parts. Does
not: who controls what (carbon_ledger.organisation.boundary).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from carbon_ledger.reporting.cube import SCOPE_1, SCOPE_2_LOCATION, SCOPE_2_MARKET
from carbon_ledger.reporting.esrs_profile import (
    ACCOUNTING_GROUP_MEMBER,
    CONTROL_AXIS,
    OTHER_INVESTEES_MEMBER,
    Profile,
    tag,
)
from carbon_ledger.reporting.inputs import ReportInputs, SitePlace
from carbon_ledger.reporting.tables import (
    TONNES,
    UNTAGGED,
    Column,
    Dimension,
    Maker,
    Row,
    Table,
    Tag,
)

CITATION: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772), paragraph 50"
# How the group accounts for an entity, and which of the two parts it is in.
ACCOUNTING_GROUP: Final = ("parent", "subsidiary")
GROUP_ROWS: Final[Mapping[str, str]] = {
    "accounting_group": "Consolidated accounting group",
    "other_entities": "All other entities",
}
MEMBERS: Final[Mapping[str, str]] = {
    "accounting_group": ACCOUNTING_GROUP_MEMBER,
    "other_entities": OTHER_INVESTEES_MEMBER,
}
NOT_REGISTERED: Final = "not registered"
COLUMNS: Final = {
    "scope_1": ("Gross scope 1 GHG emissions", SCOPE_1),
    "scope_2_location": ("Gross location-based scope 2 GHG emissions", SCOPE_2_LOCATION),
    "scope_2_market": ("Gross market-based scope 2 GHG emissions", SCOPE_2_MARKET),
}
CONCEPTS: Final[Mapping[str, str]] = {
    "scope_1": "GrossScope1GreenhouseGasEmissions",
    "scope_2_location": "GrossLocationBasedScope2GreenhouseGasEmissions",
    "scope_2_market": "GrossMarketBasedScope2GreenhouseGasEmissions",
}


def group_of(place: SitePlace | None) -> str:
    """The part of GROUP_ROWS that a site is in; "" where its entity is not registered."""
    if place is None or not place.entity_kind:
        return ""
    return "accounting_group" if place.entity_kind in ACCOUNTING_GROUP else "other_entities"


@dataclass(kw_only=True)
class Groups:
    """Makes the table with the cells of `maker`, which are of the emissions' section."""

    inputs: ReportInputs
    profile: Profile
    maker: Maker

    def table(self) -> Table:
        """A row for each part that has entries, and one for sites that are in none: together they
        are the gross figures.
        """
        name, year = self.profile.disclosures["emissions"], self.inputs.fiscal_year
        sites: dict[str, set[str]] = defaultdict(set)
        for row in self.inputs.cubes.get(year, ()):
            if any(selection.covers(row) for _, selection in COLUMNS.values()):
                part = group_of(self.inputs.sites.get(row.facility_id))
                sites[part or NOT_REGISTERED].add(row.facility_id)
        rows = []
        for part in (*GROUP_ROWS, NOT_REGISTERED):
            if part not in sites:
                continue
            cells = {
                column: self.maker.of_entries(
                    f"{name}/group/{part}/{column}",
                    year,
                    replace(selection, facilities=tuple(sorted(sites[part]))),
                    tag=self._tag(part, column),
                )
                for column, (_, selection) in COLUMNS.items()
            }
            label = GROUP_ROWS.get(part, "Sites whose entity is not registered")
            rows.append(Row(row_id=part, label=label, cells=cells))
        return Table(
            table_id=f"{name}-groups",
            title="Scopes 1 and 2 by accounting group and other entities under operational control",
            columns=tuple(
                Column(column_id=column, heading=heading, unit=TONNES)
                for column, (heading, _) in COLUMNS.items()
            ),
            rows=tuple(rows),
            citation=CITATION,
        )

    def _tag(self, part: str, column: str) -> Tag:
        """The gross figure's concept with the part as its member; nothing for what is in none."""
        if part not in MEMBERS:
            return UNTAGGED
        member = Dimension(axis=CONTROL_AXIS, member=MEMBERS[part])
        return tag(self.profile, CONCEPTS[column], member)
