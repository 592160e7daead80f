"""The immutable emission factor row, its hash, and a release of rows.

Belongs here: what a factor is and whether a row is intact. Does not: which factor applies
(book), where rows are kept (carbon_ledger.store) or come from (factor_seeds).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, replace
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.index_rows import IndexRow
from carbon_ledger.greenhouse import (
    CH4,
    CH4_FOSSIL,
    CH4_NON_FOSSIL,
    CO2,
    CO2_BIOGENIC,
    GWP_SETS,
    N2O,
    Gases,
    GasSplit,
    GasVector,
    GwpSet,
)
from carbon_ledger.quantities import canonical_text

Family = Literal[
    "grid", "energy_source", "fuel", "transport", "spend", "material", "waste", "licensed"
]

GRID: Final = "grid"
ELECTRICITY_FAMILIES: Final = ("grid", "energy_source")

# Direct supplies, per kWh of electricity that source generates (not per kWh of fuel burnt).
DIRECT_SUPPLIES: Final = (
    "biomass",
    "coal",
    "gas",
    "geothermal",
    "hydro",
    "nuclear",
    "oil",
    "solar",
    "wind",
)
ENERGY_SOURCES: Final = (GRID, *DIRECT_SUPPLIES)

# Which of our levels a publisher's boundary belongs to. None: not usable in scope 2, because T&D
# losses are category 3, activity c (GHG Protocol Scope 3 Standard, table 5.4).
BOUNDARY_LEVELS: Final[dict[tuple[str, str], str | None]] = {
    ("grid", "direct_combustion"): "location",
    ("grid", "lifecycle_generation"): "lifecycle",
    ("grid", "direct_combustion_plus_td_and_sf6"): None,
    ("energy_source", "direct"): "direct",
    ("energy_source", "lifecycle"): "lifecycle",
}
PREIMAGE_VERSION: Final = "carbon-ledger factor 1"
RELEASE_PREIMAGE_VERSION: Final = "carbon-ledger factor release 1"
WHOLE_RELEASE_PREIMAGE_VERSION: Final = "carbon-ledger factor release 2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """One published figure, exactly as published, never edited: a new version is a new row.

    Figures are kg per `unit` (`kgco2e_per_unit` per kWh of electricity); `valid_from` .. `valid_to`
    is half-open and covers whole calendar years, or both are None (no vintage). `year` is the year
    the publisher dates the figure with: the data year, or, where `year_kind` is `edition`, the year
    of the edition, whose data are older. `basis` is the accounting basis; `intensity_basis` says
    whether the publisher counted generation or consumption. None = not published, never zero.
    """

    factor_id: str
    version: int
    family: Family
    publisher: str
    dataset: str
    source_id: str
    country_iso2: str | None
    region: str | None
    region_name: str | None
    energy_source: str
    technology: str | None
    statistic: str
    year: int | None
    year_kind: Literal["data", "edition", "none"]
    valid_from: date | None
    valid_to: date | None
    basis: str
    method: str
    boundary: str
    intensity_basis: Literal["generation", "consumption", ""]
    gas_coverage: Literal["CO2e", "CO2", "CH4+N2O"]
    unit: str
    kgco2e_per_unit: Decimal
    kg_co2_per_unit: Decimal | None
    kg_ch4_per_unit: Decimal | None
    kg_n2o_per_unit: Decimal | None
    gwp_set: GwpSet
    gwp_basis: str
    co2e_origin: str
    td_loss_pct: Decimal | None
    td_kgco2e_per_unit: Decimal | None
    upstream_kgco2e_per_unit: Decimal | None
    quality_flags: tuple[str, ...]
    licence: str
    note: str | None
    sha256: str
    # Families other than electricity. They entered later: a field at its default is not part of the
    # hash, so rows published before keep theirs.
    selectors: tuple[tuple[str, str], ...] = ()
    kg_co2_biogenic_per_unit: Decimal | None = None
    ch4_kind: Literal["", "fossil", "non_fossil"] = ""
    stage: str = ""
    currency: str = ""
    price_year: int | None = None
    price_basis: Literal["", "purchaser", "basic"] = ""
    # The total holds gases that are not given apart (fluorinated ones of a supply chain), so that
    # it cannot be made anew from those that are.
    has_other_gases: bool = False

    @property
    def activity_gases(self) -> Gases:
        """kg of each gas per unit by name, methane by its origin, as far as published."""
        methane = {"": CH4, "fossil": CH4_FOSSIL, "non_fossil": CH4_NON_FOSSIL}[self.ch4_kind]
        return Gases.of(
            {
                CO2: self.kg_co2_per_unit,
                CO2_BIOGENIC: self.kg_co2_biogenic_per_unit,
                methane: self.kg_ch4_per_unit,
                N2O: self.kg_n2o_per_unit,
            }
        )

    @property
    def gases(self) -> GasVector:
        """kg of each gas per unit, as far as published."""
        return GasVector(
            kg_co2=self.kg_co2_per_unit, kg_ch4=self.kg_ch4_per_unit, kg_n2o=self.kg_n2o_per_unit
        )

    @property
    def gas_split(self) -> GasSplit:
        """`available` if CO2, CH4 and N2O are all published, and nothing else is in the total."""
        return "not_available" if self.has_other_gases else self.gases.split

    @property
    def boundary_level(self) -> str | None:
        """`location`, `direct` or `lifecycle`; None if the boundary is not usable in scope 2."""
        return BOUNDARY_LEVELS.get((self.family, self.boundary))


def id_word(text: str) -> str:
    """Lower-case words joined by hyphens, as they stand in ids."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


LATER_FIELDS: Final = tuple(field.name for field in fields(Factor) if field.default is not MISSING)
_DEFAULTS: Final = tuple((field.name, field.default) for field in fields(Factor))
_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


def factor_preimage(factor: Factor) -> bytes:
    """The bytes `sha256` is over: every other field by name, numbers in canonical spelling."""
    content = {}
    for name, default in _DEFAULTS:
        value = getattr(factor, name)
        # What has no default has MISSING for one, which no value equals.
        if name != "sha256" and value != default:
            content[name] = _plain(value)
    return f"{PREIMAGE_VERSION}\n{_ENCODE(content)}".encode()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return canonical_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def factor_sha256(factor: Factor) -> str:
    """Hex SHA-256 of `factor_preimage`."""
    return hashlib.sha256(factor_preimage(factor)).hexdigest()


def sealed(factor: Factor) -> Factor:
    """The same factor with its hash filled in."""
    return replace(factor, sha256=factor_sha256(factor))


def check_factor(factor: Factor) -> None:
    """Raises BrokenInvariant, naming row and value, if a row could be misread or was altered."""
    is_electricity = factor.family in ELECTRICITY_FAMILIES
    faults: list[tuple[str, str, bool]] = [
        ("factor_hash", f"sha256 {factor.sha256}", factor.sha256 != factor_sha256(factor)),
        ("factor_version", f"version {factor.version}", factor.version < 1),
        (
            "factor_boundary",
            f"boundary {factor.boundary!r} of family {factor.family!r}",
            is_electricity and (factor.family, factor.boundary) not in BOUNDARY_LEVELS,
        ),
        ("factor_gwp_set", f"GWP set {factor.gwp_set!r}", factor.gwp_set not in GWP_SETS),
        (
            "factor_energy_source",
            f"energy source {factor.energy_source!r}",
            is_electricity
            and (
                factor.energy_source not in ENERGY_SOURCES
                or (factor.family == GRID) != (factor.energy_source == GRID)
            ),
        ),
        (
            "factor_unit",
            f"unit {factor.unit!r} of electricity",
            is_electricity and factor.unit != "kWh",
        ),
        ("factor_validity", f"validity {factor.valid_from}..{factor.valid_to}", _bad_span(factor)),
        (
            "factor_geography",
            f"country {factor.country_iso2!r}",
            is_electricity and (factor.country_iso2 is None) != (factor.family == "energy_source"),
        ),
    ]
    for name in (
        "kgco2e_per_unit",
        "kg_co2_per_unit",
        "kg_ch4_per_unit",
        "kg_n2o_per_unit",
        "kg_co2_biogenic_per_unit",
    ):
        value = getattr(factor, name)
        missing_total = value is None and name == "kgco2e_per_unit"
        bad = missing_total or (value is not None and not (value.is_finite() and value >= 0))
        faults.append(("factor_value", f"{name} {value}", bad))
    for code, what, is_broken in faults:
        if is_broken:
            raise BrokenInvariant(
                code,
                f"{what} of factor {factor.factor_id} version {factor.version} cannot be right; "
                "factor rows are immutable and their hash covers every field",
            )


def _bad_span(factor: Factor) -> bool:
    start, end = factor.valid_from, factor.valid_to
    if start is None or end is None:
        return start is not end
    return (start.month, start.day, end.month, end.day) != (1, 1, 1, 1) or start >= end


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorRelease:
    """A named set of rows; `release_id` and `sha256` follow from the name and the rows alone."""

    release_id: str
    name: str
    sha256: str
    rows: tuple[Factor, ...]
    index_rows: tuple[IndexRow, ...] = ()


def release_sha256(
    name: str,
    factors: Iterable[tuple[str, int, str]],
    indices: Iterable[tuple[str, int, str]] = (),
) -> str:
    """Hex SHA-256 of a release, from (id, version, hex hash) of its rows in any order."""
    indexed = sorted(indices)
    lines = [f"{row_id}\t{version}\t{digest}" for row_id, version, digest in sorted(factors)]
    lines += [f"index\t{row_id}\t{version}\t{digest}" for row_id, version, digest in indexed]
    preimage = WHOLE_RELEASE_PREIMAGE_VERSION if indexed else RELEASE_PREIMAGE_VERSION
    return hashlib.sha256("\n".join([preimage, name, *lines]).encode()).hexdigest()


def make_release(
    name: str, rows: Iterable[Factor], index_rows: Iterable[IndexRow] = ()
) -> FactorRelease:
    """A release whose identity does not depend on the rows' order, e.g. `2026.1-0f3a…` (12 hex).

    A release of factors alone has the identity it always had: the lines of the index rows, and the
    version of the preimage that announces them, are only there if there are any.
    """
    ordered = tuple(sorted(rows, key=lambda row: (row.factor_id, row.version)))
    indexed = tuple(sorted(index_rows, key=lambda row: (row.index_id, row.version)))
    digest = release_sha256(
        name,
        [(row.factor_id, row.version, row.sha256) for row in ordered],
        [(row.index_id, row.version, row.sha256) for row in indexed],
    )
    return FactorRelease(
        release_id=f"{name}-{digest[:12]}",
        name=name,
        sha256=digest,
        rows=ordered,
        index_rows=indexed,
    )
