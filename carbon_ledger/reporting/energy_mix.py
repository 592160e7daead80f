"""From sums of entries to energy by carrier and origin, on the net heating value.

Belongs here: which entries are of which row of ESRS E1-5, and how their figures become MWh. Does
not: how much energy is in a fuel (carbon_ledger.reporting.fuel_energy), the tables (esrs_e1_5).

Own operations only, that is scopes 1 and 2. Fuel is counted where it is burnt, so what is generated
from it is not counted again; exported power is not taken off (ESRS E1 AR 32). The origin of
purchased electricity is that of the market-based figures (AR 32(j)): what no instrument attests is
fossil. What cannot be converted is named, with its emissions and why, and is in no sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal

from carbon_ledger.energy.meter_category3 import HEAT_KINDS
from carbon_ledger.energy.meters import S2_OWN_GENERATION
from carbon_ledger.energy.scope2 import S2_INSTRUMENT, S2_SAME
from carbon_ledger.energy.sum_amounts import ROUNDING as ROUNDED
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.quantities import ROUNDING, canonical_text, quantize_posted
from carbon_ledger.reporting.cube import CubeRow, Measure, Selection
from carbon_ledger.reporting.energy_rows import (
    VEHICLE_DISTANCE,
    ChargingRates,
    is_charging,
    is_location,
    is_market_electricity,
    is_market_of_meters,
    is_market_of_vehicles,
    is_of_scope_1,
    plug,
    rate_key,
    times,
)
from carbon_ledger.reporting.fuel_energy import FuelEnergy
from carbon_ledger.units import ratio

EnergyRow = Literal[
    "coal",
    "oil",
    "natural_gas",
    "other_fossil",
    "purchased_fossil",
    "nuclear",
    "fuel_renewable",
    "purchased_renewable",
    "self_generated",
]
Origin = Literal["fossil", "nuclear", "renewable"]
# The source that an instrument attests, or that a direct line comes from.
ORIGIN_OF_SOURCE: Final[dict[str, Origin]] = {
    **dict.fromkeys(
        (
            *("biogas", "biomass", "geothermal", "hydro", "marine", "solar", "tidal", "wave"),
            *("wind", "wind_offshore", "wind_onshore"),
        ),
        "renewable",
    ),
    "nuclear": "nuclear",
    **dict.fromkeys(
        ("coal", "gas", "grid", "lignite", "mix", "natural_gas", "oil", "peat"), "fossil"
    ),
}
PURCHASED_ROW: Final[dict[Origin, EnergyRow]] = {
    "fossil": "purchased_fossil",
    "nuclear": "nuclear",
    "renewable": "purchased_renewable",
}
SELF_GENERATED: Final = "self_generated"
# What ids of parts of own generation begin with.
GENERATED: Final = "generated"
NOT_DETERMINED: Final = "energy_not_determined"
SOURCE_UNKNOWN: Final = "instrument_source_unknown"
ORIGIN_NOT_SPLIT: Final = "origin_not_split"
_MWH: Final = -3


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyPart:
    """Entries that are converted alike: `measure` of `selection` times `scale` is MWh of `row`."""

    part_id: str
    row: EnergyRow
    selection: Selection
    measure: Measure
    scale: Decimal
    how: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NotConverted:
    """Entries of energy that are in no row, and why."""

    part_id: str
    selection: Selection
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyMix:
    """Every entry of energy of a year, in order of `part_id`; each is in one part, or named."""

    parts: tuple[EnergyPart, ...]
    not_converted: tuple[NotConverted, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """What is to be said beside the figures."""
        said = {flag for part in self.parts for flag in part.flags}
        return tuple(sorted(said | ({NOT_DETERMINED} if self.not_converted else set())))


def energy_mix(
    rows: Sequence[CubeRow],
    fuels: Mapping[str, Mapping[str, FuelEnergy]],
    sources: Mapping[str, str],
    charging: ChargingRates | None = None,
) -> EnergyMix:
    """The energy of a year's entries. `fuels` (by set of potentials and factor id) and `charging`
    are those of the inputs of reports; `sources`: by factor id of an instrument, or of a direct
    supply, the source it attests.
    """
    found: list[EnergyPart | NotConverted] = []
    versions: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        if is_of_scope_1(row):
            versions[row.factor_id].add(row.factor_version)
    for key, group in _grouped(rows, _FUEL_FIELDS, is_of_scope_1):
        used = versions[key["factor_id"]]
        for version in sorted(used):
            of_it = [row for row in group if row.factor_version == version]
            if of_it:
                found.append(_fuel(key, of_it, fuels, version, is_one_of=len(used) > 1))
    for key, group in _grouped(rows, _MARKET_FIELDS, is_market_electricity):
        found.append(_purchased(key, group[0], sources))
    metered = {row.facility_id for row in rows if is_market_of_meters(row)}
    for key, group in _grouped(rows, _LOCATION_FIELDS, is_location):
        part = _located(key, group, metered)
        if part is not None:
            found.append(part)
    charged = {plug(row) for row in rows if is_market_of_vehicles(row)}
    for key, group in _grouped(rows, _CHARGING_FIELDS, is_charging):
        found += _charged(key, group, charged, charging or {})
    ordered = sorted(found, key=lambda one: one.part_id)
    return EnergyMix(
        parts=tuple(one for one in ordered if isinstance(one, EnergyPart)),
        not_converted=tuple(one for one in ordered if isinstance(one, NotConverted)),
    )


# ---- groups of rows that are converted alike

_FUEL_FIELDS: Final = ("activity_type", "unit", "factor_id", "formula_id", "gwp_set", "gas_split")
_MARKET_FIELDS: Final = ("activity_type", "unit", "factor_id", "formula_id")
_LOCATION_FIELDS: Final = ("activity_type", "unit")
_CHARGING_FIELDS: Final = ("activity_type", "unit", "country_iso2")
_ASKED: Final = {
    "activity_type": "activity_types",
    "unit": "units",
    "country_iso2": "countries",
    "factor_id": "factor_ids",
    "formula_id": "formula_ids",
    "gwp_set": "gwp_sets",
    "gas_split": "gas_splits",
}


def _grouped(
    rows: Iterable[CubeRow], names: tuple[str, ...], wanted: Callable[[CubeRow], bool]
) -> list[tuple[dict[str, str], list[CubeRow]]]:
    groups: dict[tuple[str, ...], list[CubeRow]] = defaultdict(list)
    for row in rows:
        if wanted(row):
            groups[tuple(getattr(row, name) for name in names)].append(row)
    return [(dict(zip(names, key, strict=True)), groups[key]) for key in sorted(groups)]


def _part_id(key: Mapping[str, str]) -> str:
    return "|".join(key.values())


def _selection(key: Mapping[str, str], scope: int, **more: tuple[str, ...]) -> Selection:
    asked: dict[str, Any] = {_ASKED[name]: (value,) for name, value in key.items()}
    return Selection(**{"scopes": (scope,), **asked, **more})


# ---- scope 1: fuels


def _fuel(
    key: Mapping[str, str],
    rows: Sequence[CubeRow],
    fuels: Mapping[str, Mapping[str, FuelEnergy]],
    version: int,
    *,
    is_one_of: bool,
) -> EnergyPart | NotConverted:
    """Entries of one version of a factor; told apart in name and selection where there are others.
    A factor that was corrected has, for entries of before, the energy it was published with.
    """
    part_id, selection = _part_id(key), _selection(key, 1)
    if is_one_of:
        part_id = f"{part_id}|{version}"
        selection = replace(selection, factor_versions=(version,))
    factor_id = key["factor_id"]
    of_set = fuels.get(key["gwp_set"], {})
    fuel = of_set.get(f"{factor_id}#{version}", of_set.get(factor_id))
    why = _why_not(key, rows, fuel)
    if fuel is None or fuel.net_kwh_per_unit is None or why:
        return NotConverted(part_id=part_id, selection=selection, why=why)
    row: EnergyRow = "fuel_renewable" if fuel.carrier == "renewable" else fuel.carrier
    per_unit = fuel.net_kwh_per_unit
    scale = _quantity_in_factor_units(rows, fuel)
    if scale is not None:
        kwh = quantize_posted(times(per_unit, scale))
        measure: Measure = "quantity"
        how = f"{canonical_text(kwh)} kWh (net) per {key['unit']}: {fuel.how}"
    else:
        # The figure is of less than the quantity (a share of a blend, what another segment has
        # covered), or of its energy (a calorific value): the amount burnt is what the figure says.
        measure = fuel.tracer or "kgco2e"
        kwh = quantize_posted(ROUNDING.divide(per_unit, fuel.kg_per_unit))
        what = "kgCO2e" if measure == "kgco2e" else "kg CO2"
        how = (
            f"{canonical_text(kwh)} kWh (net) per {what}: {canonical_text(per_unit)} kWh and "
            f"{canonical_text(fuel.kg_per_unit)} {what} per {fuel.unit}; {fuel.how}"
        )
    return EnergyPart(
        part_id=part_id,
        row=row,
        selection=selection,
        measure=measure,
        scale=kwh.scaleb(_MWH),
        how=how,
        flags=fuel.flags,
    )


def _why_not(key: Mapping[str, str], rows: Sequence[CubeRow], fuel: FuelEnergy | None) -> str:
    """Why entries of a fuel cannot be converted; "" if they can."""
    if key["activity_type"].startswith(VEHICLE_DISTANCE):
        return "a distance was driven: which fuel was burnt, and how much, is not known"
    if fuel is None:
        return f"factor {key['factor_id']} is of no fuel in the published tables"
    if fuel.net_kwh_per_unit is None:
        return fuel.how
    if _quantity_in_factor_units(rows, fuel) is not None:
        return ""
    if fuel.tracer is None:
        return f"neither quantity nor figure says how much {fuel.fuel} was burnt"
    if fuel.tracer == "kgco2e" and key["gwp_set"] != fuel.gwp_set:
        return f"posted with potentials {key['gwp_set']}, the factor has {fuel.gwp_set}"
    if any(row.kgco2e and not getattr(row, fuel.tracer) for row in rows):
        return "the carbon dioxide of the figure, which the amount burnt follows, is not given"
    return ""


def _quantity_in_factor_units(rows: Sequence[CubeRow], fuel: FuelEnergy) -> Fraction | None:
    """Units of the factor per unit of the quantity, if the figures are of the whole quantity, but
    for half a unit of the 12th decimal per entry; None if they are not.
    """
    scale = _units_of_factor(rows[0].unit, fuel.unit)
    if scale is None or fuel.tracer is None:
        return None
    for measure in dict.fromkeys((fuel.tracer, "kgco2e")):
        per_unit = scale * Fraction(fuel.kg_per_unit)
        if all(
            abs(Fraction(row.quantity) * per_unit - Fraction(getattr(row, measure)))
            <= row.entries * ROUNDED
            for row in rows
        ):
            return scale
    return None


def _units_of_factor(unit: str, factor_unit: str) -> Fraction | None:
    """An entry has kWh without their heating value, which is that of its factor."""
    for target in (factor_unit, factor_unit.removesuffix("_gross").removesuffix("_net")):
        try:
            return ratio(unit, target)
        except RejectedRecord:
            # Another dimension: then it is the figure that says how much was burnt.
            continue
    return None


# ---- scope 2: electricity, heat, steam, cooling


def _purchased(
    key: Mapping[str, str], row: CubeRow, sources: Mapping[str, str]
) -> EnergyPart | NotConverted:
    """Electricity by its market-based lines: instruments by the source they attest."""
    selection = _selection(key, 2, bases=("market",))
    flags: tuple[str, ...] = ()
    if row.formula_id == S2_OWN_GENERATION.formula_id:
        target: EnergyRow = "self_generated"
        what = "own generation without fuel"
    else:
        origin, what, flags = _origin(row, sources)
        target = PURCHASED_ROW[origin]
    return _energy(_part_id(key), target, selection, row.unit, what, flags)


def _origin(row: CubeRow, sources: Mapping[str, str]) -> tuple[Origin, str, tuple[str, ...]]:
    is_instrument = row.formula_id == S2_INSTRUMENT.formula_id
    source = sources.get(row.factor_id)
    if not is_instrument and (row.formula_id != S2_SAME.formula_id or source is None):
        return "fossil", f"no instrument: {row.factor_id}", ()
    known = ORIGIN_OF_SOURCE.get((source or "").strip().lower().replace(" ", "_"))
    if known is None:
        return "fossil", f"{row.factor_id} attests {source or 'no source'}", (SOURCE_UNKNOWN,)
    return known, f"{row.factor_id} attests {source}", ()


def _located(
    key: Mapping[str, str], rows: Sequence[CubeRow], with_market: set[str]
) -> EnergyPart | NotConverted | None:
    """What has no market-based lines: heat, steam and cooling, and sites whose market-based figure
    is not posted.
    """
    kind, _, source = key["activity_type"].partition(":")
    is_own = kind == SELF_GENERATED
    if not (is_own or kind == "electricity" or kind in HEAT_KINDS):
        return NotConverted(
            part_id=_part_id(key),
            selection=_selection(key, 2, bases=("location",)),
            why=f"{key['activity_type']} is no energy known here",
        )
    if kind in HEAT_KINDS:
        selection = _selection(key, 2, bases=("location",))
    else:
        places = tuple(sorted({row.facility_id for row in rows} - with_market))
        if not places:
            return None
        selection = _selection(key, 2, bases=("location",), facilities=places)
    what = f"generated from {source}" if is_own else "no contract says from what"
    return _energy(
        _part_id(key),
        "self_generated" if is_own else "purchased_fossil",
        selection,
        key["unit"],
        what,
        () if is_own or kind in HEAT_KINDS else (ORIGIN_NOT_SPLIT,),
    )


def _charged(
    key: Mapping[str, str],
    rows: Sequence[CubeRow],
    with_market: set[tuple[str, str, bool]],
    charging: ChargingRates,
) -> list[EnergyPart | NotConverted]:
    """What no market-based line has of the electricity of vehicles in a country: that of places
    without one of their kind, and entries whose kWh were not known when the others' were posted.
    """
    without = [row for row in rows if plug(row) not in with_market]
    found = []
    what = "of vehicles, no market-based line has it"
    if without:
        places = tuple(sorted({row.facility_id for row in without}))
        selection = _selection(key, 2, bases=("location",), facilities=places)
        found.append(_charge(_part_id(key), selection, key["unit"], what))
    unknown: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in rows:
        factor = rate_key(row)
        if plug(row) in with_market and factor in charging and charging[factor] is None:
            unknown[row.factor_id, row.factor_version].add(row.facility_id)
    for (factor_id, version), facilities in sorted(unknown.items()):
        selection = _selection(
            key,
            2,
            bases=("location",),
            facilities=tuple(sorted(facilities)),
            factor_ids=(factor_id,),
        )
        selection = replace(selection, factor_versions=(version,))
        part_id = f"{_part_id(key)}|{factor_id}|{version}"
        why = f"{what}, since {factor_id} is of no grid that is known"
        found.append(_charge(part_id, selection, key["unit"], why))
    return found


def _charge(part_id: str, selection: Selection, unit: str, what: str) -> EnergyPart | NotConverted:
    return _energy(part_id, "purchased_fossil", selection, unit, what, (ORIGIN_NOT_SPLIT,))


def _energy(
    part_id: str,
    row: EnergyRow,
    selection: Selection,
    unit: str,
    what: str,
    flags: tuple[str, ...],
) -> EnergyPart | NotConverted:
    try:
        scale = ratio(unit, "kWh")
    except RejectedRecord:
        return NotConverted(
            part_id=part_id, selection=selection, why=f"{unit} is no unit of energy: {what}"
        )
    kwh = quantize_posted(times(Decimal(1), scale))
    return EnergyPart(
        part_id=part_id,
        row=row,
        selection=selection,
        measure="quantity",
        scale=kwh.scaleb(_MWH),
        how=f"{canonical_text(kwh)} kWh per {unit}: {what}",
        flags=flags,
    )


# ---- own generation, whatever became of its certificates


def own_generation(rows: Sequence[CubeRow]) -> tuple[EnergyPart, ...]:
    """What was generated without fuel and consumed, as it was metered: whose certificates were sold
    is in it, though in the mix it is the energy of whatever its market-based line says.
    """
    found = []
    for key, group in _grouped(rows, _LOCATION_FIELDS, _is_own_generation):
        place = _located(key, group, set())
        if isinstance(place, EnergyPart):
            found.append(
                replace(
                    place,
                    part_id=f"{GENERATED}|{place.part_id}",
                    selection=_selection(key, 2, bases=("location",)),
                )
            )
    return tuple(found)


def _is_own_generation(row: CubeRow) -> bool:
    return is_location(row) and row.activity_type.startswith(f"{SELF_GENERATED}:")
