"""Every name of the vocabulary stands for a row that the shipped factors have."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.transport.freight_vocabulary import (
    AVERAGE_CLASSES,
    MODES,
    OPERATION_CLASSES,
    cooled,
)
from carbon_ledger.transport.freight_vocabulary import operation_class as class_of
from carbon_ledger.transport.parts import Ask
from carbon_ledger.transport.vocabulary import (
    DESNZ_FUELS,
    EPA_FUELS,
    FUEL_TYPES,
    VEHICLE_CLASSES,
    distance_asks,
    fuel,
    fuel_type,
    us_methane_ask,
    vehicle_class,
)
from tests.support.transport_examples import refusal, shipped

DAY = date(2025, 6, 1)
INVENTORY = shipped(geography_proxies=())


def _found(ask: Ask, country: str) -> Decimal:
    match = ask.find(country, DAY, INVENTORY)
    assert dict(ask.selectors).items() <= dict(match.factor.selectors).items()
    assert match.how_matched.endswith("exact-year")
    return match.factor.kgco2e_per_unit


@pytest.mark.parametrize("name", DESNZ_FUELS)
def test_a_british_fuel_has_its_rows_per_litre(name: str) -> None:
    row = DESNZ_FUELS[name]
    _found(row.combustion, "GB")
    assert _found(row.upstream, "GB") > 0
    if row.biogenic is not None:
        outside = row.biogenic.find("GB", DAY, INVENTORY).factor
        assert outside.kg_co2_biogenic_per_unit
        assert outside.kgco2e_per_unit == 0


@pytest.mark.parametrize("name", EPA_FUELS)
def test_a_us_fuel_has_its_row_per_gallon_of_carbon_dioxide_alone(name: str) -> None:
    factor = EPA_FUELS[name].combustion.find("US", DAY, INVENTORY).factor
    assert (factor.unit, factor.gas_coverage) == ("gal", "CO2")


def _distance_cases() -> list[tuple[str, str | None]]:
    cases: list[tuple[str, str | None]] = []
    for name, row in VEHICLE_CLASSES.items():
        for kind in (None, *FUEL_TYPES.values()):
            try:
                distance_asks(row, kind, "GB")
            except RejectedRecord:
                continue
            cases.append((name, None if kind is None else kind.name))
    return cases


# Cars and vans that the publisher has no row for: the question is refused by the book, not here.
UNPUBLISHED = {
    "cng": {"car_small", "van_class_1", "van_class_2", "van_class_3"},
    "lpg": {"car_small", "van_class_1", "van_class_2", "van_class_3"},
    "hybrid": {"van_class_1", "van_class_2", "van_class_3", "van_average"},
    "plug_in_hybrid": {"van_class_1", "van_class_2", "car_mini"},
    "plug_in_hybrid_diesel": {"van_class_1", "van_class_2", "car_mini"},
    None: {"van_class_1", "van_class_2", "van_class_3"},
}
BY_SEGMENT = {name for name, row in VEHICLE_CLASSES.items() if "segment" in row.group}
for _fuel in ("cng", "lpg", "hybrid"):
    UNPUBLISHED[_fuel] |= BY_SEGMENT


def test_a_class_on_a_fuel_has_its_rows_per_km_or_the_book_refuses() -> None:
    for name, fuel_name in _distance_cases():
        kind = None if fuel_name is None else FUEL_TYPES[fuel_name]
        asks = distance_asks(VEHICLE_CLASSES[name], kind, "GB")
        needed = [one for one in (asks.direct, asks.upstream, asks.electricity, asks.losses) if one]
        if name in UNPUBLISHED.get(fuel_name, ()):
            problem = refusal(lambda needed=needed: [_found(one, "GB") for one in needed])
            assert problem.code == "factor_missing", (name, fuel_name)
            continue
        for one in needed:
            _found(one, "GB")


REFUSED_BY_DISTANCE = [
    ("artic_hgv_over_33t", "lng"),
    ("artic_hgv_over_33t", "electricity"),
    ("van_average", "hvo"),
    ("motorbike_small", "diesel"),
]


@pytest.mark.parametrize(("name", "fuel_name"), REFUSED_BY_DISTANCE)
def test_a_vehicle_the_tables_do_not_have_is_refused(name: str, fuel_name: str) -> None:
    problem = refusal(lambda: distance_asks(vehicle_class(name), fuel_type(fuel_name), "GB"))
    assert problem.code == "distance_factor_missing"


def test_us_classes_have_their_row_per_vehicle_mile() -> None:
    for row in VEHICLE_CLASSES.values():
        if row.us_group is not None:
            kind = FUEL_TYPES["diesel"] if row.is_lorry else FUEL_TYPES["petrol"]
            direct = distance_asks(row, kind, "US").direct
            assert direct.find("US", DAY, INVENTORY).factor.unit == "vehicle_mile"


YEARS = {"petrol": range(1973, 2026), "diesel": range(1960, 2026)}


@pytest.mark.parametrize("fuel_name", YEARS)
@pytest.mark.parametrize("name", ["car_average", "van_average", "hgv_all", "rigid_hgv_3_5_7_5t"])
def test_methane_of_us_vehicles_is_there_for_every_model_year(name: str, fuel_name: str) -> None:
    for year in YEARS[fuel_name]:
        ask = us_methane_ask(VEHICLE_CLASSES[name], FUEL_TYPES[fuel_name], year)
        assert ask is not None
        factor = ask.find("US", DAY, INVENTORY).factor
        assert factor.gas_coverage == "CH4+N2O"
        span = dict(factor.selectors)["detail"].removeprefix("model year ").removeprefix("≤")
        first, _, last = span.partition("-")
        within = int(first) <= min(year, 2022) <= int(last or first)
        assert within or year <= 1980


OTHER_FUELS = [
    ("hgv_all", "cng"),
    ("hgv_all", "lng"),
    ("hgv_all", "biodiesel"),
    ("van_average", "lpg"),
    ("car_average", "bioethanol"),
]


@pytest.mark.parametrize(("name", "fuel_name"), OTHER_FUELS)
def test_methane_of_us_vehicles_on_other_fuels_needs_no_model_year(
    name: str, fuel_name: str
) -> None:
    ask = us_methane_ask(VEHICLE_CLASSES[name], FUEL_TYPES[fuel_name], None)
    assert ask is not None
    assert ask.find("US", DAY, INVENTORY).factor.kg_ch4_per_unit is not None


def test_methane_of_a_us_vehicle_of_unknown_year_is_not_guessed() -> None:
    assert us_methane_ask(VEHICLE_CLASSES["hgv_all"], FUEL_TYPES["diesel"], None) is None
    motorbike = VEHICLE_CLASSES["motorbike_small"]
    assert us_methane_ask(motorbike, FUEL_TYPES["petrol"], 2015) is None


def _country(row_name: str) -> str:
    return "US" if row_name.startswith("us_") else "GB"


@pytest.mark.parametrize("name", OPERATION_CLASSES)
def test_an_operation_class_has_its_rows(name: str) -> None:
    row = OPERATION_CLASSES[name]
    assert row.mode in MODES
    direct = _found(row.ttw, _country(name))
    assert direct > 0
    if row.wtt is not None:
        assert _found(row.wtt, "GB") > 0
    else:
        assert row.wtt_like in OPERATION_CLASSES
    if row.with_forcing is not None:
        assert _found(row.with_forcing, "GB") > direct
    for one in row.empty or ():
        assert _found(one, "GB") > 0


# UK government conversion factors 2025, freighting goods: kgCO2e per tkm, TTW and WTT.
PRINTED = [
    ("hgv_all", "0.10163", "0.02359"),
    ("artic_hgv_over_33t", "0.07703", "0.01799"),
    ("rigid_hgv_all", "0.19748", None),
    ("van_average_diesel", "0.6313", "0.15095"),
    ("van_average_electric", "0.21992", "0.05633"),
    ("hgv_all_refrigerated", "0.11894", "0.02769"),
    ("rail_freight", "0.02779", "0.00691"),
    ("air_long_haul", "0.5313", "0.13516"),
    ("air_short_haul", "0.75539", "0.20515"),
    ("air_domestic", "2.71931", "0.57429"),
    ("container_average", "0.01612", None),
    ("bulk_average", "0.00353", None),
    ("roro_average", "0.05158", None),
]


@pytest.mark.parametrize(("name", "ttw", "wtt"), PRINTED)
def test_default_intensities_are_those_printed_for_2025(
    name: str, ttw: str, wtt: str | None
) -> None:
    row = OPERATION_CLASSES[name]
    assert _found(row.ttw, "GB") == Decimal(ttw)
    if wtt is not None:
        assert row.wtt is not None
        assert _found(row.wtt, "GB") == Decimal(wtt)


FORCING = [("air_long_haul", "0.89939"), ("air_short_haul", "1.27835"), ("air_domestic", "4.60397")]


@pytest.mark.parametrize(("name", "printed"), FORCING)
def test_flights_have_a_row_with_radiative_forcing(name: str, printed: str) -> None:
    ask = OPERATION_CLASSES[name].with_forcing
    assert ask is not None
    assert _found(ask, "GB") == Decimal(printed)


def test_every_mode_average_is_a_class_of_that_mode() -> None:
    for mode, name in AVERAGE_CLASSES.items():
        assert class_of(name, mode).name == name


def test_unknown_names_and_classes_of_another_mode_are_refused_with_the_known_ones() -> None:
    assert refusal(lambda: fuel_type("kerosene")).code == "unknown_fuel_type"
    assert refusal(lambda: vehicle_class("tank")).code == "unknown_vehicle_class"
    assert refusal(lambda: fuel("cng", "US")).code == "unknown_fuel_type"
    problem = refusal(lambda: class_of("rail_freight", "road"))
    assert problem.code == "operation_class_of_other_mode"
    assert "hgv_all" in (problem.valid or "")


def test_a_cooled_class_is_its_own_row_and_never_a_share_of_another() -> None:
    assert cooled(OPERATION_CLASSES["hgv_all"]).name == "hgv_all_refrigerated"
    full = OPERATION_CLASSES["artic_hgv_all_full"]
    assert cooled(full).name == "artic_hgv_all_refrigerated_full"
    assert cooled(OPERATION_CLASSES["refrigerated_cargo"]).name == "refrigerated_cargo"
    for name in ("rail_freight", "air_long_haul", "container_average", "van_average_diesel"):
        problem = refusal(lambda name=name: cooled(OPERATION_CLASSES[name]))
        assert problem.code == "refrigerated_factor_missing"
