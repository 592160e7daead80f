"""Which entries a change may reach: never fewer than it does, so that only these are recomputed.

Belongs here: conclusions from two releases, from statements of reference data, from a policy. Does
not: whether an entry really changes (it is recomputed and compared), reading any of it.

A factor reaches entries by what made them: an altered or removed one those that name it, one that
is new, or altered in what it is chosen by, those that name any factor it could replace. Reference
data reach entries by the facility, vehicle, supplier or meter they are of; entities and ownership
reach all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from carbon_ledger.factor_book.diff import diff
from carbon_ledger.factor_book.index_rows import TD_LOSS
from carbon_ledger.factor_book.rows import ELECTRICITY_FAMILIES, GRID, Factor, FactorRelease
from carbon_ledger.reference.fields import Record

# An altered row that differs in these alone is chosen whenever it was chosen before.
VALUE_FIELDS: Final = frozenset(
    {
        "kgco2e_per_unit",
        "kg_co2_per_unit",
        "kg_ch4_per_unit",
        "kg_n2o_per_unit",
        "kg_co2_biogenic_per_unit",
        "td_loss_pct",
        "td_kgco2e_per_unit",
        "upstream_kgco2e_per_unit",
        "licence",
        "note",
        "publisher",
    }
)
GWP_SERIES: Final = "gwp_"
# Streams that use numbers of a release beside its factors: rates and prices, grid losses.
PRICE_STREAMS: Final = ("procurement", "supplier", "transport", "logistics")
LOSS_STREAMS: Final = ("iot_energy", "transport")
# Kinds of reference data that decide no line of an event.
WITHOUT_EFFECT: Final = frozenset(
    {"revenue", "budget", "disclosure", "expected_source", "control_total"}
)
SPEND_STREAMS: Final = ("procurement",)


@dataclass(frozen=True, kw_only=True)
class FactorReach:
    """Entries of one release that another one may change: by factor id, or by stream."""

    from_release: str
    factor_ids: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the other release changes nothing."""
        return not (self.factor_ids or self.streams)


def factor_reach(old: FactorRelease, new: FactorRelease) -> FactorReach:
    """Which entries made with `old` may come out otherwise with `new`."""
    found = diff(old, new)
    before = {row.factor_id: row for row in sorted(old.rows, key=lambda row: row.version)}
    after = {row.factor_id: row for row in sorted(new.rows, key=lambda row: row.version)}
    indices = {row.index_id: row for row in (*old.index_rows, *new.index_rows)}
    moved = {change.row_id for change in found.changed} | set(found.removed)
    ids = {row_id for row_id in moved if row_id in before}
    contenders = [after[row_id] for row_id in found.added if row_id in after]
    for change in found.changed:
        if change.row_id in after and {one.field for one in change.fields} - VALUE_FIELDS:
            contenders.append(after[change.row_id])
    ids |= _rivals(contenders, before.values())
    streams: set[str] = set()
    for row_id in (*found.added, *moved):
        index = indices.get(row_id)
        if index is None or row_id in before or row_id in after:
            continue
        if index.series.startswith(GWP_SERIES):
            ids |= {row.factor_id for row in before.values() if has_gases(row)}
        else:
            streams.update(LOSS_STREAMS if index.series == TD_LOSS else PRICE_STREAMS)
    return FactorReach(
        from_release=old.release_id, factor_ids=tuple(sorted(ids)), streams=tuple(sorted(streams))
    )


def has_gases(row: Factor) -> bool:
    """Whether the factor's CO2e can be made anew with other potentials."""
    return row.gas_split == "available" or row.gas_coverage == "CH4+N2O"


def _rivals(contenders: Iterable[Factor], rows: Iterable[Factor]) -> set[str]:
    """Factors that a contender could be chosen in place of."""
    places: set[tuple[str, str | None, str | None]] = set()
    families: set[str] = set()
    for one in contenders:
        if one.family in ELECTRICITY_FAMILIES:
            places.add(_electricity_place(one))
        else:
            families.add(one.family)
    return {
        row.factor_id
        for row in rows
        if row.family in families
        or (row.family in ELECTRICITY_FAMILIES and _electricity_place(row) in places)
    }


def _electricity_place(row: Factor) -> tuple[str, str | None, str | None]:
    """Grid mixes are chosen within a country, by source within the source."""
    country = row.country_iso2 if row.energy_source == GRID else None
    return row.family, row.energy_source, country


@dataclass(kw_only=True)
class BoundaryReach:
    """Entries that statements of reference data may change, with the moments of the statements."""

    facilities: list[tuple[str, datetime]] = field(default_factory=list)
    sources: list[tuple[str, datetime]] = field(default_factory=list)
    streams: list[tuple[str, datetime]] = field(default_factory=list)
    everything: list[datetime] = field(default_factory=list)


def boundary_reach(statements: Sequence[Record]) -> BoundaryReach:
    """Which entries each recorded statement may change."""
    reach = BoundaryReach()
    for one in statements:
        moment = one.recorded_at
        if moment is None or one.KIND in WITHOUT_EFFECT:
            continue
        facility = getattr(one, "facility_id", None)
        if one.KIND in ("site", "instrument") and facility is not None:
            reach.facilities.append((facility, moment))
        elif one.KIND == "meter":
            reach.sources.append((one.key[0], moment))
            if facility is not None:
                reach.facilities.append((facility, moment))
        elif one.KIND in ("vehicle", "supplier", "supplier_item"):
            reach.sources.append((one.key[0], moment))
        elif one.KIND == "spend_class":
            reach.streams.extend((stream, moment) for stream in SPEND_STREAMS)
        else:
            reach.everything.append(moment)
    return reach


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Everything that a restatement may touch."""

    factors: tuple[FactorReach, ...] = ()
    gwp_set: str | None = None
    # Factors without a whole split that can be weighed anew all the same.
    gwp_factor_ids: tuple[str, ...] = ()
    reference_as_of: datetime | None = None
    boundary: BoundaryReach = field(default_factory=BoundaryReach)
    max_vintage_gap_years: int | None = None
    other_code_than: str | None = None
