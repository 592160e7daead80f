"""Transport operations by the tonne-kilometre: what they are called here and in the tables.

Belongs here: operation classes an event may name, the published rows of each, and on which distance
those rows are based. Does not: rules (carbon_ledger.transport.shipments), vehicles by the kilometre
(carbon_ledger.transport.vocabulary).

DESNZ rows come from tank to wheel and from well to tank. EPA rows are tank to wheel only, so their
upstream is taken in the proportion of a British class, flagged. Rows per tonne-kilometre of DESNZ
are at the average load with its empty running; those at full load leave empty running out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.transport.parts import Ask
from carbon_ledger.transport.vocabulary import COOLED, HGV_CLASSES, TTW, VAN_CLASSES, WTT

# `actual`: per km driven, so a shortest or great circle distance has to be adjusted; `adjusted`:
# the publisher has put the adjustment into the figure; `shortest`: per km of the shortest distance.
DistanceBasis = Literal["actual", "adjusted", "shortest"]

ROAD, RAIL, SEA, AIR = "road", "rail", "sea", "air"
INLAND, PIPELINE, HUB = "inland_waterway", "pipeline", "hub"
MODES: Final = (ROAD, RAIL, SEA, INLAND, AIR, PIPELINE, HUB)

LICENSED: Final = "licensed"


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationClass:
    """A category of transport operations: its rows from tank to wheel and from well to tank.

    `wtt` None: the upstream is in the proportion of the class `wtt_like`. `with_forcing` is the
    tank-to-wheel row that includes radiative forcing (air). `empty` are the rows per km of the
    vehicle driven empty, where the intensity leaves empty running out.
    """

    name: str
    mode: str
    ttw: Ask
    wtt: Ask | None
    is_cooled: bool = False
    distance_basis: DistanceBasis = "actual"
    wtt_like: str | None = None
    with_forcing: Ask | None = None
    empty: tuple[Ask, Ask] | None = None


def _desnz(group: str, published: str, stage: str, **more: str) -> Ask:
    selectors = (
        ("category", "freight"),
        ("vehicle_group", group),
        ("vehicle_class", published),
        *more.items(),
        ("stage", stage),
    )
    return Ask(family="transport", selectors=selectors, unit="tkm")


def _empty_lorry(group: str, published: str) -> tuple[Ask, Ask]:
    first, second = (
        Ask(
            family="transport",
            selectors=(
                ("category", "delivery_vehicle"),
                ("vehicle_group", group),
                ("vehicle_class", published),
                ("variant", "0% Laden"),
                ("stage", stage),
            ),
            unit="km",
        )
        for stage in (TTW, WTT)
    )
    return first, second


def _lorries() -> list[OperationClass]:
    rows = []
    for group, cooled in (("HGV (all diesel)", ""), ("HGV refrigerated (all diesel)", COOLED)):
        for name, published in HGV_CLASSES.items():
            for full, variant in (("", "Average laden"), ("_full", "100% Laden")):
                rows.append(
                    OperationClass(
                        name=f"{name}{cooled}{full}",
                        mode=ROAD,
                        ttw=_desnz(group, published, TTW, variant=variant),
                        wtt=_desnz(group, published, WTT, variant=variant),
                        is_cooled=bool(cooled),
                        empty=_empty_lorry(group, published) if full else None,
                    )
                )
    return rows


_VAN_FUELS: Final = {
    "diesel": "Diesel",
    "petrol": "Petrol",
    "electric": "Battery Electric Vehicle",
}


def _vans() -> list[OperationClass]:
    # The rows of electric vans hold the electricity they use, and its losses.
    return [
        OperationClass(
            name=f"{name}_{suffix}",
            mode=ROAD,
            ttw=_desnz("Vans", published, TTW, variant=variant),
            wtt=_desnz("Vans", published, WTT, variant=variant),
        )
        for name, published in VAN_CLASSES.items()
        for suffix, variant in _VAN_FUELS.items()
    ] + [
        OperationClass(
            name="van_average_unknown",
            mode=ROAD,
            ttw=_desnz("Vans", VAN_CLASSES["van_average"], TTW, variant="Unknown"),
            wtt=_desnz("Vans", VAN_CLASSES["van_average"], WTT, variant="Unknown"),
        )
    ]


_FLIGHTS: Final = {
    "air_domestic": "Domestic, to/from UK",
    "air_short_haul": "Short-haul, to/from UK",
    "air_long_haul": "Long-haul, to/from UK",
    "air_international": "International, to/from non-UK",
}


def _flights() -> list[OperationClass]:
    group = "Freight flights"
    # The upstream has no forcing, but is printed under both variants.
    return [
        OperationClass(
            name=name,
            mode=AIR,
            ttw=_desnz(group, published, TTW, variant="Without RF"),
            wtt=_desnz(group, published, WTT, variant="Without RF"),
            with_forcing=_desnz(group, published, TTW, variant="With RF"),
            distance_basis="adjusted",
        )
        for name, published in _FLIGHTS.items()
    ]


_SHIPS: Final[dict[str, tuple[str, str, str]]] = {
    "container_average": ("Cargo ship", "Container ship", "Average"),
    "container_over_8000_teu": ("Cargo ship", "Container ship", "8000+ TEU"),
    "container_5000_7999_teu": ("Cargo ship", "Container ship", "5000-7999 TEU"),
    "container_3000_4999_teu": ("Cargo ship", "Container ship", "3000-4999 TEU"),
    "container_2000_2999_teu": ("Cargo ship", "Container ship", "2000-2999 TEU"),
    "container_1000_1999_teu": ("Cargo ship", "Container ship", "1000-1999 TEU"),
    "container_0_999_teu": ("Cargo ship", "Container ship", "0-999 TEU"),
    "bulk_average": ("Cargo ship", "Bulk carrier", "Average"),
    "bulk_over_200000_dwt": ("Cargo ship", "Bulk carrier", "200,000+ dwt"),
    "bulk_60000_99999_dwt": ("Cargo ship", "Bulk carrier", "60,000-99,999 dwt"),
    "bulk_10000_34999_dwt": ("Cargo ship", "Bulk carrier", "10,000-34,999 dwt"),
    "general_cargo_average": ("Cargo ship", "General cargo", "Average"),
    "vehicle_carrier_average": ("Cargo ship", "Vehicle transport", "Average"),
    "roro_average": ("Cargo ship", "RoRo-Ferry", "Average"),
    "roro_over_2000_lm": ("Cargo ship", "RoRo-Ferry", "2000+ LM"),
    "ropax_average": ("Cargo ship", "Large RoPax ferry", "Average"),
    "crude_tanker_average": ("Sea tanker", "Crude tanker", "Average"),
    "products_tanker_average": ("Sea tanker", "Products tanker", "Average"),
    "chemical_tanker_average": ("Sea tanker", "Chemical tanker", "Average"),
    "lng_tanker_average": ("Sea tanker", "LNG tanker", "Average"),
}


def _ships() -> list[OperationClass]:
    rows = [
        OperationClass(
            name=name,
            mode=SEA,
            ttw=_desnz(group, published, TTW, detail=detail),
            wtt=_desnz(group, published, WTT, detail=detail),
        )
        for name, (group, published, detail) in _SHIPS.items()
    ]
    rows.append(
        OperationClass(
            name="refrigerated_cargo",
            mode=SEA,
            ttw=_desnz("Cargo ship", "Refrigerated cargo", TTW, detail="All dwt"),
            wtt=_desnz("Cargo ship", "Refrigerated cargo", WTT, detail="All dwt"),
            is_cooled=True,
        )
    )
    # The publisher spells the class differently in its two tables.
    rows.append(
        OperationClass(
            name="lpg_tanker_average",
            mode=SEA,
            ttw=_desnz("Sea tanker", "LPG Tanker", TTW, detail="Average"),
            wtt=_desnz("Sea tanker", "LPG tanker", WTT, detail="Average"),
        )
    )
    return rows


def _epa(name: str, mode: str, group: str, wtt_like: str) -> OperationClass:
    return OperationClass(
        name=name,
        mode=mode,
        ttw=Ask(
            family="transport",
            selectors=(("category", "freight"), ("vehicle_group", group), ("stage", TTW)),
            unit="tkm",
        ),
        wtt=None,
        wtt_like=wtt_like,
    )


OPERATION_CLASSES: Final[dict[str, OperationClass]] = {
    row.name: row
    for row in (
        *_lorries(),
        *_vans(),
        OperationClass(
            name="rail_freight",
            mode=RAIL,
            ttw=_desnz("Rail", "Freight train", TTW),
            wtt=_desnz("Rail", "Freight train", WTT),
        ),
        *_flights(),
        *_ships(),
        _epa("us_truck", ROAD, "Medium- and Heavy-Duty Truck", "hgv_all"),
        _epa("us_rail", RAIL, "Rail", "rail_freight"),
        _epa("us_waterborne", SEA, "Waterborne Craft", "general_cargo_average"),
        _epa("us_inland_waterway", INLAND, "Waterborne Craft", "general_cargo_average"),
        _epa("us_aircraft", AIR, "Aircraft", "air_domestic"),
    )
}
# The published average of a whole mode, for a leg of which no more is known.
AVERAGE_CLASSES: Final[dict[str, str]] = {ROAD: "hgv_all", RAIL: "rail_freight"}


def operation_class(name: str, mode: str) -> OperationClass:
    """The operation class of a name, in its mode.

    A name that is not in the tables may be one of a licensed set: rows of family `licensed` with
    selectors category `freight`, mode, operation_class and stage, and distance_basis `actual`
    unless they say otherwise. Raises RejectedRecord `operation_class_of_other_mode`.
    """
    found = OPERATION_CLASSES.get(name)
    if found is None:
        return OperationClass(
            name=name, mode=mode, ttw=licensed(name, mode, TTW), wtt=licensed(name, mode, WTT)
        )
    if found.mode != mode:
        raise RejectedRecord(
            "operation_class_of_other_mode",
            f"operation_class: {name} is of {found.mode}, but the leg of {mode}",
            field="operation_class",
            value=name,
            valid=", ".join(row.name for row in OPERATION_CLASSES.values() if row.mode == mode),
        )
    return found


def licensed(name: str, mode: str, stage: str, unit: str = "tkm") -> Ask:
    """The question for a licensed intensity of an operation class that the tables do not have."""
    selectors = (
        ("category", "freight"),
        ("mode", mode),
        ("operation_class", name),
        ("stage", stage),
    )
    return Ask(family=LICENSED, selectors=selectors, unit=unit)


def cooled(row: OperationClass) -> OperationClass:
    """The refrigerated class of a leg whose load was cooled.

    Raises RejectedRecord `refrigerated_factor_missing`: a share of uplift is never guessed.
    """
    if row.is_cooled or row.name not in OPERATION_CLASSES:
        return row
    base, full = row.name.removesuffix("_full"), row.name.endswith("_full")
    found = OPERATION_CLASSES.get(f"{base}{COOLED}{'_full' if full else ''}")
    if found is None:
        raise RejectedRecord(
            "refrigerated_factor_missing",
            f"is_refrigerated: no published factor is of a refrigerated {row.name}",
            field="operation_class",
            value=row.name,
            valid=", ".join(one.name for one in OPERATION_CLASSES.values() if one.is_cooled)
            + "; or the carrier's own figures",
        )
    return found
