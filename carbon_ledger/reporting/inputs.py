"""Everything a report is made from: sums of entries, statements, revenue, and when it was known.

Belongs here: the one argument of every table. Does not: reading it (carbon_ledger.store).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from carbon_ledger.greenhouse import GwpTable
from carbon_ledger.policy import Policy
from carbon_ledger.reporting.cube import CubeRow
from carbon_ledger.reporting.energy_rows import ChargingRates
from carbon_ledger.reporting.fuel_energy import FuelEnergy
from carbon_ledger.reporting.stated import Stated


@dataclass(frozen=True, kw_only=True, slots=True)
class Revenue:
    """Net revenue of a fiscal year in `currency`, and the part of high climate impact sectors."""

    fiscal_year: int
    amount: Decimal
    currency: str
    source: str
    high_climate_impact: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SitePlace:
    """A site as reports name it: its entity (subsidiary), country and, where stated, business
    division and coordinates.

    `entity_kind` is how the group accounts for the entity (carbon_ledger.reference.records,
    ENTITY_KINDS), "" where that is not registered.
    """

    facility_id: str
    entity_id: str
    entity_name: str = ""
    entity_kind: str = ""
    name: str = ""
    country_iso2: str = ""
    division: str = ""
    latitude: Decimal | None = None
    longitude: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """A figure of a report that a reported year binds: of which fiscal year and profile the report
    is, as which cell it shows the figure, and how much that is in `unit`.

    `base_year` is the report's own, None if it had none. `bound_at` is when the year was reported;
    what does not say it was before what does.
    """

    fiscal_year: int
    profile: str
    cell_id: str
    value: Decimal
    unit: str
    base_year: int | None = None
    bound_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportInputs:
    """One organization and fiscal year, with the years it is compared with.

    `cubes` has the rows of the year, of the year before and of the base year, as known at `as_of`;
    a year without entries is absent or empty. `instrument_sources`: by factor id of a contractual
    instrument, or of a direct supply, the energy source it attests; `instrument_kinds` what kind of
    instrument it is. `fuels`: by the set of potentials that entries have and by factor id of a
    fuel, how much energy is in a unit of it (carbon_ledger.reporting.fuel_energy), by `id#version`
    that of an earlier version that entries have. `charging`: of factors that vehicles' electricity
    was posted with, by id, version, set of potentials and unit, kgCO2e per kWh of their grid; None
    where the kWh of such entries are not known. `previously_reported`: the figures that were
    reported of these years, and `restatement_causes` why each is another figure now, where that is
    known.
    """

    organization_id: str
    fiscal_year: int
    period_begin: date
    period_end: date
    as_of: datetime
    code_version: str
    cubes: Mapping[int, Sequence[CubeRow]]
    policy: Policy = field(default_factory=Policy)
    gwp: GwpTable | None = None
    base_year: int | None = None
    statements: Sequence[Stated] = ()
    revenues: Mapping[int, Revenue] = field(default_factory=dict)
    sites: Mapping[str, SitePlace] = field(default_factory=dict)
    instrument_sources: Mapping[str, str] = field(default_factory=dict)
    instrument_kinds: Mapping[str, str] = field(default_factory=dict)
    fuels: Mapping[str, Mapping[str, FuelEnergy]] = field(default_factory=dict)
    charging: ChargingRates = field(default_factory=dict)
    previously_reported: Sequence[Reported] = ()
    restatement_causes: Mapping[Reported, str] = field(default_factory=dict)

    @property
    def comparative(self) -> int:
        """The year before."""
        return self.fiscal_year - 1
