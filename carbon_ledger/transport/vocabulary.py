"""What fuels, vehicles and transport operations are called here, and in the published tables.

Belongs here: names an event may use and the selectors of the published row each stands for. Does
not: which of several rows applies (carbon_ledger.factor_book.activities), rules (vehicles,
carbon_ledger.transport.shipments).

Two publishers are spoken to: DESNZ (United Kingdom), whose tables also serve other countries as a
flagged proxy, and EPA (United States), whose fuel rows are carbon dioxide alone, per gallon, with
methane and nitrous oxide per vehicle-mile by model year. EPA publishes no well-to-tank figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.transport.parts import Ask

US: Final = "US"
TTW: Final = "ttw"
WTT: Final = "wtt"

# ---- fuels by the litre


@dataclass(frozen=True, kw_only=True, slots=True)
class Fuel:
    """A pure fuel or a published blend: where its factors are. All are per litre.

    `biogenic` is the row outside the scopes; None where there is no biogenic carbon dioxide, or
    where it stands in the row of combustion.
    """

    name: str
    combustion: Ask
    upstream: Ask
    biogenic: Ask | None = None


def _desnz_fuel(published: str, stage: str) -> Ask:
    return Ask(family="fuel", selectors=(("fuel", published), ("stage", stage)), unit="L")


def _desnz(name: str, published: str, *, is_biogenic: bool = False) -> Fuel:
    return Fuel(
        name=name,
        combustion=_desnz_fuel(published, "combustion"),
        upstream=_desnz_fuel(published, WTT),
        biogenic=_desnz_fuel(published, "outside_of_scopes") if is_biogenic else None,
    )


def _epa(name: str, published: str, upstream: Fuel) -> Fuel:
    selectors = (("fuel", published), ("use", "mobile"), ("stage", "combustion"))
    return Fuel(
        name=name,
        combustion=Ask(family="fuel", selectors=selectors, unit="L"),
        upstream=upstream.upstream,
    )


DESNZ_FUELS: Final[dict[str, Fuel]] = {
    fuel.name: fuel
    for fuel in (
        _desnz("diesel_blend", "Diesel (average biofuel blend)", is_biogenic=True),
        _desnz("petrol_blend", "Petrol (average biofuel blend)", is_biogenic=True),
        _desnz("diesel_mineral", "Diesel (100% mineral diesel)"),
        _desnz("petrol_mineral", "Petrol (100% mineral petrol)"),
        _desnz("biodiesel", "Biodiesel ME", is_biogenic=True),
        _desnz("hvo", "Biodiesel HVO", is_biogenic=True),
        _desnz("bioethanol", "Bioethanol", is_biogenic=True),
        _desnz("biopropane", "Biopropane", is_biogenic=True),
        _desnz("lpg", "LPG"),
        _desnz("cng", "CNG"),
        _desnz("lng", "LNG"),
    )
}
EPA_FUELS: Final[dict[str, Fuel]] = {
    fuel.name: fuel
    for fuel in (
        _epa("diesel_mineral", "Diesel Fuel", DESNZ_FUELS["diesel_mineral"]),
        _epa("petrol_mineral", "Motor Gasoline", DESNZ_FUELS["petrol_mineral"]),
        _epa("biodiesel", "Biodiesel (100%)", DESNZ_FUELS["biodiesel"]),
        _epa("bioethanol", "Ethanol (100%)", DESNZ_FUELS["bioethanol"]),
        _epa("lpg", "Liquefied Petroleum Gases (LPG)", DESNZ_FUELS["lpg"]),
        _epa("lng", "Liquefied Natural Gas (LNG)", DESNZ_FUELS["lng"]),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FuelType:
    """What an event's `fuel_type` means.

    `blend` is the fuel when no share of biofuel is stated, `mineral` and `bio` what the litres are
    split into when one is. `variant` is the word of the distance tables, None where they have no
    such vehicle; `has_plug` says that it draws electricity too.
    """

    name: str
    blend: str | None = None
    mineral: str | None = None
    bio: str | None = None
    variant: str | None = None
    has_plug: bool = False


_PLUG_IN = "Plug-in Hybrid Electric Vehicle"


def _diesel(name: str, variant: str, *, has_plug: bool = False) -> FuelType:
    return FuelType(
        name=name,
        blend="diesel_blend",
        mineral="diesel_mineral",
        bio="biodiesel",
        variant=variant,
        has_plug=has_plug,
    )


def _petrol(name: str, variant: str, *, has_plug: bool = False) -> FuelType:
    return FuelType(
        name=name,
        blend="petrol_blend",
        mineral="petrol_mineral",
        bio="bioethanol",
        variant=variant,
        has_plug=has_plug,
    )


FUEL_TYPES: Final[dict[str, FuelType]] = {
    kind.name: kind
    for kind in (
        _diesel("diesel", "Diesel"),
        _petrol("petrol", "Petrol"),
        FuelType(name="diesel_mineral", blend="diesel_mineral", mineral="diesel_mineral"),
        FuelType(name="petrol_mineral", blend="petrol_mineral", mineral="petrol_mineral"),
        FuelType(name="hvo", blend="hvo", mineral="diesel_mineral", bio="hvo"),
        FuelType(name="biodiesel", blend="biodiesel", mineral="diesel_mineral", bio="biodiesel"),
        FuelType(name="bioethanol", blend="bioethanol", mineral="petrol_mineral", bio="bioethanol"),
        FuelType(name="lpg", blend="lpg", mineral="lpg", bio="biopropane", variant="LPG"),
        FuelType(name="cng", blend="cng", variant="CNG"),
        FuelType(name="lng", blend="lng"),
        _petrol("hybrid", "Hybrid"),
        _petrol("plug_in_hybrid", _PLUG_IN, has_plug=True),
        _diesel("plug_in_hybrid_diesel", _PLUG_IN, has_plug=True),
        FuelType(name="electricity", variant="Battery Electric Vehicle", has_plug=True),
    )
}


def fuel_type(name: str) -> FuelType:
    """The fuel type of a name. Raises RejectedRecord `unknown_fuel_type`."""
    found = FUEL_TYPES.get(name)
    if found is None:
        raise RejectedRecord(
            "unknown_fuel_type",
            f"fuel_type: {name[:60]!r} is not known here",
            field="fuel_type",
            value=name,
            valid=", ".join(FUEL_TYPES),
        )
    return found


def fuel(name: str, country_iso2: str) -> Fuel:
    """The fuel's rows by the publisher for the country.

    Raises RejectedRecord `unknown_fuel_type` where that publisher has no such fuel by volume. A
    blend in the United States is taken as mineral: EPA publishes no average blend.
    """
    if country_iso2 != US:
        return DESNZ_FUELS[name]
    found = EPA_FUELS.get(name.replace("_blend", "_mineral"))
    if found is None:
        raise RejectedRecord(
            "unknown_fuel_type",
            f"fuel_type: no published US factor is per litre of {name}",
            field="fuel_type",
            value=name,
            valid=", ".join(EPA_FUELS),
        )
    return found


# ---- vehicles by the kilometre

_CARS_BY_SIZE = "Cars (by size)"
_CARS_BY_SEGMENT = "Cars (by market segment)"
_VANS = "Vans"
_HGVS = "HGV (all diesel)"
_HGVS_COOLED = "HGV refrigerated (all diesel)"
_AVERAGE_LADEN = "Average laden"


@dataclass(frozen=True, kw_only=True, slots=True)
class VehicleClass:
    """A class of vehicles: its place in the DESNZ tables, and its groups in the EPA ones.

    `us_group` is the EPA's class per vehicle-mile, `us_methane` its groups of methane and nitrous
    oxide rows by fuel: gasoline, diesel, other.
    """

    name: str
    category: str
    group: str
    published: str
    us_group: str | None = None
    us_methane: tuple[str, str, str] | None = None

    @property
    def has_fuel_variants(self) -> bool:
        """Whether the tables tell the class by fuel; lorries are all diesel, motorbikes untold."""
        return self.group in (_CARS_BY_SIZE, _CARS_BY_SEGMENT, _VANS)

    @property
    def is_lorry(self) -> bool:
        """Whether the rows are of diesel lorries, by how laden they are."""
        return self.group in (_HGVS, _HGVS_COOLED)


_US_CAR = ("Gasoline Passenger Cars", "Passenger Cars", "Light-Duty Cars")
_US_LIGHT = ("Gasoline Light-Duty Trucks", "Light-Duty Trucks", "Light-Duty Trucks")
_US_MEDIUM = (
    "Gasoline Heavy-Duty Vehicles",
    "Medium- and Heavy-Duty Vehicles",
    "Medium-Duty Trucks",
)
_US_HEAVY = ("Gasoline Heavy-Duty Vehicles", "Medium- and Heavy-Duty Vehicles", "Heavy-Duty Trucks")

HGV_CLASSES: Final[dict[str, str]] = {
    "rigid_hgv_3_5_7_5t": "Rigid (>3.5 - 7.5 tonnes)",
    "rigid_hgv_7_5_17t": "Rigid (>7.5 tonnes-17 tonnes)",
    "rigid_hgv_over_17t": "Rigid (>17 tonnes)",
    "rigid_hgv_all": "All rigids",
    "artic_hgv_3_5_33t": "Articulated (>3.5 - 33t)",
    "artic_hgv_over_33t": "Articulated (>33t)",
    "artic_hgv_all": "All artics",
    "hgv_all": "All HGVs",
}
VAN_CLASSES: Final[dict[str, str]] = {
    "van_class_1": "Class I (up to 1.305 tonnes)",
    "van_class_2": "Class II (1.305 to 1.74 tonnes)",
    "van_class_3": "Class III (1.74 to 3.5 tonnes)",
    "van_average": "Average (up to 3.5 tonnes)",
}
_SIZES = {
    "car_small": "Small car",
    "car_medium": "Medium car",
    "car_large": "Large car",
    "car_average": "Average car",
}
_SEGMENTS = {
    "car_mini": "Mini",
    "car_supermini": "Supermini",
    "car_lower_medium": "Lower medium",
    "car_upper_medium": "Upper medium",
    "car_executive": "Executive",
    "car_luxury": "Luxury",
    "car_sports": "Sports",
    "car_dual_purpose_4x4": "Dual purpose 4X4",
    "car_mpv": "MPV",
}
_MOTORBIKES = {
    "motorbike_small": "Small",
    "motorbike_medium": "Medium",
    "motorbike_large": "Large",
    "motorbike_average": "Average",
}
COOLED: Final = "_refrigerated"


def _vehicle_classes() -> dict[str, VehicleClass]:
    rows = [
        VehicleClass(
            name=name,
            category="passenger_vehicle",
            group=group,
            published=published,
            us_group="Passenger Car",
            us_methane=_US_CAR,
        )
        for group, classes in ((_CARS_BY_SIZE, _SIZES), (_CARS_BY_SEGMENT, _SEGMENTS))
        for name, published in classes.items()
    ]
    rows += [
        VehicleClass(
            name=name, category="passenger_vehicle", group="Motorbike", published=published
        )
        for name, published in _MOTORBIKES.items()
    ]
    rows += [
        VehicleClass(
            name=name,
            category="delivery_vehicle",
            group=_VANS,
            published=published,
            us_group="Light-Duty Truck",
            us_methane=_US_LIGHT,
        )
        for name, published in VAN_CLASSES.items()
    ]
    rows += [
        VehicleClass(
            name=name + suffix,
            category="delivery_vehicle",
            group=group,
            published=published,
            us_group="Medium- and Heavy-Duty Truck",
            us_methane=_US_MEDIUM if name == "rigid_hgv_3_5_7_5t" else _US_HEAVY,
        )
        for group, suffix in ((_HGVS, ""), (_HGVS_COOLED, COOLED))
        for name, published in HGV_CLASSES.items()
    ]
    return {row.name: row for row in rows}


VEHICLE_CLASSES: Final[dict[str, VehicleClass]] = _vehicle_classes()


def vehicle_class(name: str) -> VehicleClass:
    """The vehicle class of a name. Raises RejectedRecord `unknown_vehicle_class`."""
    found = VEHICLE_CLASSES.get(name)
    if found is None:
        raise RejectedRecord(
            "unknown_vehicle_class",
            f"vehicle_class: {name[:60]!r} is no class of the published tables",
            field="vehicle_class",
            value=name,
            valid=", ".join(VEHICLE_CLASSES),
        )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class DistanceAsks:
    """The rows that make up a vehicle's emissions per distance; all those given are needed."""

    direct: Ask
    upstream: Ask
    electricity: Ask | None = None
    losses: Ask | None = None


def distance_asks(row: VehicleClass, kind: FuelType | None, country_iso2: str) -> DistanceAsks:
    """The rows for a class of vehicles driven on a fuel; an unknown fuel (None) is the average.

    Raises RejectedRecord `distance_factor_missing` where the tables have no such vehicle.
    """
    variant = _variant(row, kind)
    selectors: tuple[tuple[str, str], ...] = (
        ("vehicle_group", row.group),
        ("vehicle_class", row.published),
    )
    if variant:
        selectors = (*selectors, ("variant", variant))

    def ask(category: str, stage: str) -> Ask:
        return Ask(
            family="transport",
            selectors=(("category", category), *selectors, ("stage", stage)),
            unit="km",
        )

    direct = ask(row.category, TTW)
    if country_iso2 == US and row.us_group is not None and not (kind and kind.has_plug):
        direct = Ask(
            family="transport",
            selectors=(("category", "freight"), ("vehicle_group", row.us_group), ("stage", TTW)),
            unit="vkm",
        )
    has_plug = kind is not None and kind.has_plug
    return DistanceAsks(
        direct=direct,
        upstream=ask(row.category, WTT),
        electricity=ask("ev_electricity", "scope2_electricity") if has_plug else None,
        losses=ask("ev_electricity", "td_losses") if has_plug else None,
    )


def _variant(row: VehicleClass, kind: FuelType | None) -> str:
    if row.has_fuel_variants:
        variant = "Unknown" if kind is None else kind.variant
    elif row.is_lorry:
        variant = _AVERAGE_LADEN if kind is None or kind.variant == "Diesel" else None
    else:
        variant = "" if kind is None or kind.variant == "Petrol" else None
    if variant is None:
        raise RejectedRecord(
            "distance_factor_missing",
            f"no published factor per km is of a {row.name} on {kind.name if kind else 'fuel'}",
            field="fuel_type",
            value=kind.name if kind else None,
            valid="the litres or kWh used, or a fuel the class is published for",
        )
    return variant


# Model years of the EPA's methane and nitrous oxide rows that cover more than one year.
_SPANS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "Gasoline Passenger Cars": ((1973, 1974), (1976, 1977), (1978, 1979), (1984, 1993)),
    "Gasoline Light-Duty Trucks": ((1973, 1974), (1977, 1978), (1979, 1980), (1987, 1993)),
    "Gasoline Heavy-Duty Vehicles": ((1981, 1984), (1985, 1986), (1988, 1989), (1990, 1995)),
    "Passenger Cars": ((1960, 1982), (1983, 2006), (2007, 2022)),
    "Light-Duty Trucks": ((1960, 1982), (1983, 2006), (2007, 2022)),
    "Medium- and Heavy-Duty Vehicles": ((1960, 2006), (2007, 2022)),
}
US_MODEL_YEAR_LAST: Final = 2022
_US_OTHER_FUELS: Final = {
    "lpg": "LPG",
    "cng": "CNG",
    "lng": "LNG",
    "biodiesel": "Biodiesel",
    "hvo": "Biodiesel",
    "bioethanol": "Ethanol",
}


def us_methane_ask(row: VehicleClass, kind: FuelType, model_year: int | None) -> Ask | None:
    """The EPA row of methane and nitrous oxide per vehicle-mile; None if it cannot be named.

    Model years after the last published one take the last.
    """
    if row.us_methane is None:
        return None
    gasoline, diesel, other = row.us_methane
    selectors: tuple[tuple[str, str], ...]
    if kind.name in _US_OTHER_FUELS:
        selectors = (("vehicle_group", other), ("vehicle_class", _US_OTHER_FUELS[kind.name]))
    elif kind.mineral in ("petrol_mineral", "diesel_mineral") and model_year is not None:
        is_petrol = kind.mineral == "petrol_mineral"
        group = gasoline if is_petrol else diesel
        selectors = (
            ("vehicle_group", group),
            ("vehicle_class", "Gasoline" if is_petrol else "Diesel"),
            ("detail", _model_year_text(group, min(model_year, US_MODEL_YEAR_LAST))),
        )
    else:
        return None
    return Ask(
        family="transport", selectors=(("category", "vehicle_ch4_n2o"), *selectors), unit="vkm"
    )


def _model_year_text(group: str, year: int) -> str:
    if group == "Gasoline Heavy-Duty Vehicles" and year <= 1980:
        return "model year ≤1980"
    for first, last in _SPANS[group]:
        if first <= year <= last:
            return f"model year {first}-{last}"
    return f"model year {year}"
