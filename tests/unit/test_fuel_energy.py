"""How much energy is in a unit of a published fuel, and which carrier it is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.reporting.cube import CubeRow
from carbon_ledger.reporting.fuel_carriers import CARRIER_OF, CARRIERS, NOT_FUELS
from carbon_ledger.reporting.fuel_energy import (
    NET_FROM_GROSS,
    NOT_STATED,
    FuelEnergy,
    energy_of_version,
    fuel_energies,
    fuels_used,
)
from factor_seeds.load import shipped_book
from tests.support.report_examples import row

UK = "fuel:GB:2025:{}:any:combustion:{}:desnz_2025"
US = "fuel:US:2025:{}:combustion:{}:epa_hub_2025"


@cache
def energies() -> dict[str, FuelEnergy]:
    book = shipped_book()
    return fuel_energies(book.rows_of("fuel"), book.gwp, "AR6")


def rows_of(fuel: str, edition: str) -> list[Factor]:
    return [
        one
        for one in shipped_book().rows_of("fuel")
        if (dict(one.selectors)["fuel"], one.source_id) == (fuel, edition)
    ]


def test_every_published_fuel_is_of_one_carrier_or_no_fuel() -> None:
    published = {dict(one.selectors)["fuel"] for one in shipped_book().rows_of("fuel")}
    assert published == CARRIER_OF.keys() | set(NOT_FUELS)
    assert not CARRIER_OF.keys() & set(NOT_FUELS)
    assert set(CARRIER_OF.values()) == set(CARRIERS)


def test_a_fuel_that_is_in_no_carrier_has_no_energy() -> None:
    (row, *_) = rows_of("District heat and steam", "desnz_2025")
    assert row.factor_id not in energies()


@pytest.mark.parametrize(
    ("factor_id", "kwh"),
    [
        # 2.57082 kgCO2e per litre / 0.25953 per kWh (net).
        (UK.format("liquid-fuels:diesel-average-biofuel-blend", "l"), "9.905675644434"),
        # 2.06672 per cubic metre / 0.2027 per kWh (net).
        (UK.format("gaseous-fuels:natural-gas", "m3"), "10.195954612728"),
        (UK.format("gaseous-fuels:natural-gas", "kwh-gross"), "0.902614701529"),
        (UK.format("gaseous-fuels:natural-gas", "kwh-net"), "1"),
        (UK.format("liquid-fuels:gas-oil", "t"), "11824.166666666667"),
    ],
)
def test_two_figures_of_one_edition_say_how_much_energy_is_in_a_unit(
    factor_id: str, kwh: str
) -> None:
    found = energies()[factor_id]
    assert found.net_kwh_per_unit == Decimal(kwh)
    assert found.flags == ()


@pytest.mark.parametrize(
    ("factor_id", "kwh", "carrier"),
    [
        # 1 million Btu is 293.07107 kWh: x 0.90 of gas, x 0.95 of coal and oil.
        (US.format("natural-gas:natural-gas:stationary", "mmbtu-gross"), "263.7640", "natural_gas"),
        (US.format("coal-and-coke:anthracite:stationary", "mmbtu-gross"), "278.4175", "coal"),
        # 0.138 million Btu per gallon of distillate, 0.125 of gasoline, as published.
        (
            US.format("petroleum-products:distillate-fuel-oil-no-2:stationary", "gal"),
            "38.4216",
            "oil",
        ),
        (US.format("mobile-combustion-co2:diesel-fuel:mobile", "gal"), "38.4216", "oil"),
        (US.format("mobile-combustion-co2:motor-gasoline:mobile", "gal"), "34.8022", "oil"),
        # 1026 Btu per standard cubic foot, as published.
        (
            US.format("mobile-combustion-co2:compressed-natural-gas-cng:mobile", "scf"),
            "0.27062",
            "natural_gas",
        ),
    ],
)
def test_the_gross_heating_value_becomes_net_by_the_relation_of_the_ipcc(
    factor_id: str, kwh: str, carrier: str
) -> None:
    found = energies()[factor_id]
    assert found.carrier == carrier
    assert found.flags == (NET_FROM_GROSS,)
    assert found.net_kwh_per_unit is not None
    assert abs(found.net_kwh_per_unit / Decimal(kwh) - 1) < Decimal("0.001")


@pytest.mark.parametrize(
    ("factor_id", "mj"),
    [
        # Net heating values of Directive (EU) 2018/2001, annex III, in MJ per litre.
        (UK.format("biofuel:bioethanol", "l"), 21),
        (UK.format("biofuel:biodiesel-me", "l"), 33),
        (UK.format("biofuel:biodiesel-hvo", "l"), 34),
        (UK.format("biofuel:biopropane", "l"), 24),
        (UK.format("biofuel:methanol-bio", "l"), 16),
    ],
)
def test_biofuels_whose_heating_value_is_not_stated_come_to_net_ones(
    factor_id: str, mj: int
) -> None:
    found = energies()[factor_id]
    assert found.flags == (NOT_STATED,)
    assert found.net_kwh_per_unit is not None
    assert abs(found.net_kwh_per_unit * Decimal("3.6") / mj - 1) < Decimal("0.03")


@pytest.mark.parametrize(
    ("factor_id", "why"),
    [
        (
            US.format("other-fuels-solid:tires:stationary", "short-ton"),
            "no net per gross heating value is known of other_fossil",
        ),
        (
            US.format("biomass-fuels-solid:wood-and-wood-residuals:stationary", "short-ton"),
            "no net per gross heating value is known of renewable",
        ),
        (
            US.format("non-road-ch4-and-n2o-locomotives:diesel:mobile-nonroad", "gal"),
            "no other factor of Diesel in epa_hub_2025 is per energy",
        ),
    ],
)
def test_what_cannot_be_converted_says_why_and_is_not_guessed(factor_id: str, why: str) -> None:
    found = energies()[factor_id]
    assert found.net_kwh_per_unit is None
    assert why in found.how


def test_of_two_figures_that_disagree_none_is_taken() -> None:
    book = shipped_book()
    rows = rows_of("Gas oil", "desnz_2025")
    (net,) = [one for one in rows if one.unit == "kWh_net" and one.stage == "combustion"]
    other = replace(net, factor_id="planted", kgco2e_per_unit=Decimal("0.3"))
    litre = UK.format("liquid-fuels:gas-oil", "l")
    assert fuel_energies(rows, book.gwp, "AR6")[litre].flags == ()
    planted = fuel_energies([*rows, other], book.gwp, "AR6")[litre]
    # The gross figure is still one, and says so.
    assert planted.flags == (NET_FROM_GROSS,)


def test_another_edition_says_nothing_and_the_highest_version_counts() -> None:
    book = shipped_book()
    rows = rows_of("Gas oil", "desnz_2025")
    (litre,) = [one for one in rows if one.unit == "L" and one.stage == "combustion"]
    older = rows_of("Gas oil", "desnz_2024")
    alone = fuel_energies([litre, *older], book.gwp, "AR6")[litre.factor_id]
    assert alone.net_kwh_per_unit is None
    newer = replace(litre, version=2, kgco2e_per_unit=Decimal("5.4"))
    found = fuel_energies([newer, *rows], book.gwp, "AR6")[litre.factor_id]
    assert found.net_kwh_per_unit == Decimal("19.788918205805")


def test_an_earlier_version_is_converted_as_it_was_published() -> None:
    book = shipped_book()
    rows = list(book.rows_of("fuel"))
    factor_id = UK.format("liquid-fuels:gas-oil", "l")
    (one,) = [row for row in rows if row.factor_id == factor_id]
    second = replace(one, version=2, kgco2e_per_unit=one.kgco2e_per_unit * 2)
    first = energy_of_version([*rows, second], factor_id, 1, book.gwp, "AR6")
    assert first == fuel_energies(rows, book.gwp, "AR6")[factor_id]
    again = energy_of_version([*rows, second], factor_id, 2, book.gwp, "AR6")
    assert again is not None
    assert again.net_kwh_per_unit != first.net_kwh_per_unit
    assert energy_of_version(rows, factor_id, 3, book.gwp, "AR6") is None


def test_fuels_are_those_that_entries_have_by_their_own_potentials_and_releases() -> None:
    book = shipped_book()
    factor_id = UK.format("liquid-fuels:gas-oil", "l")
    asked: list[str] = []

    def book_of(release: str) -> FactorBook:
        asked.append(release)
        return book

    def used(**given: Any) -> CubeRow:
        return row(1, "1", factor_id=factor_id, factor_releases=("2025.9",), **given)

    entries = (
        used(),
        used(gwp_set="AR5"),
        used(gwp_set="not_applicable"),
        used(factor_version=7),
        row(1, "1", factor_id="stated:x", factor_version=7, factor_releases=("2025.9",)),
        row(2, "1", factor_id=factor_id, gwp_set="SAR"),
    )
    found = fuels_used(entries, book, "AR6", book_of)
    assert set(found) == {"AR6", "AR5", "not_applicable"}
    for name, gwp_set in (("AR6", "AR6"), ("AR5", "AR5"), ("not_applicable", "AR6")):
        every = fuel_energies(book.rows_of("fuel"), book.gwp, gwp_set)
        assert found[name] == {factor_id: every[factor_id]}
    # Of a version that the newest release does not have the entries' own release is asked.
    assert asked == ["2025.9"]


def test_a_factor_of_carbon_dioxide_alone_is_followed_by_that() -> None:
    diesel = energies()[US.format("mobile-combustion-co2:diesel-fuel:mobile", "gal")]
    assert (diesel.tracer, diesel.kg_per_unit) == ("kg_co2_fossil", Decimal("10.21"))
    ethanol = energies()[US.format("mobile-combustion-co2:ethanol-100:mobile", "gal")]
    assert ethanol.tracer == "kg_co2_biogenic"
    locomotive = energies()[
        US.format("non-road-ch4-and-n2o-locomotives:diesel:mobile-nonroad", "gal")
    ]
    assert locomotive.tracer is None
