"""From sums of entries to energy: which row, how many MWh, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.energy.meter_events import GENERATION_SOURCES
from carbon_ledger.energy.meters import S2_OWN_GENERATION, lines_of_meter_reading
from carbon_ledger.energy.scope2 import S2_GRID_AVERAGE, S2_INSTRUMENT, S2_RESIDUAL, S2_SAME
from carbon_ledger.factor_book.rows import DIRECT_SUPPLIES, GRID
from carbon_ledger.greenhouse import CO2, CO2_BIOGENIC
from carbon_ledger.lines import EmissionLine
from carbon_ledger.organisation.categories import DISTANCE_BASED
from carbon_ledger.policy import Policy
from carbon_ledger.reporting.cube import CubeRow, selected, total_of
from carbon_ledger.reporting.energy_mix import (
    NOT_DETERMINED,
    ORIGIN_NOT_SPLIT,
    ORIGIN_OF_SOURCE,
    SOURCE_UNKNOWN,
    EnergyMix,
    energy_mix,
)
from carbon_ledger.reporting.energy_rows import BURN_NOTHING
from carbon_ledger.reporting.fuel_energy import FuelEnergy, fuels_used
from carbon_ledger.reporting.metered_kwh import metered_faults
from carbon_ledger.transport.vehicles import lines_of_trip
from factor_seeds.load import shipped_book
from tests.support import meter_examples, transport_examples
from tests.support.report_examples import EVIDENCE, row

DIESEL = FuelEnergy(
    factor_id="diesel",
    fuel="Diesel (100% mineral diesel)",
    carrier="oil",
    unit="L",
    net_kwh_per_unit=Decimal("9.9"),
    tracer="kgco2e",
    kg_per_unit=Decimal("2.64"),
    gwp_set="AR6",
    how="published",
)
GAS = replace(
    DIESEL,
    factor_id="gas",
    fuel="Natural gas",
    carrier="natural_gas",
    unit="kWh_gross",
    net_kwh_per_unit=Decimal("0.9"),
    kg_per_unit=Decimal("0.18"),
)
US_DIESEL = replace(
    DIESEL,
    factor_id="us-diesel",
    unit="gal",
    net_kwh_per_unit=Decimal("38"),
    tracer="kg_co2_fossil",
    kg_per_unit=Decimal("10"),
    gwp_set="not_applicable",
)
PELLETS = replace(
    DIESEL, factor_id="pellets", carrier="renewable", unit="t", flags=("heating_value_not_stated",)
)
UNKNOWN = replace(DIESEL, factor_id="tyres", net_kwh_per_unit=None, how="nobody says")
FUELS = {one.factor_id: one for one in (DIESEL, GAS, US_DIESEL, PELLETS, UNKNOWN)}
SOURCES = {
    "instrument:wind": "wind",
    "instrument:atom": "nuclear",
    "instrument:mix": "mix",
    "instrument:odd": "moonlight",
    "energy_source:solar:x": "solar",
    "energy_source:gas:x": "gas",
}


def fuel_row(kg: str, quantity: str, factor_id: str = "diesel", **given: Any) -> CubeRow:
    fields = {
        "activity_type": "vehicle_fuel:diesel_mineral",
        "unit": "L",
        "factor_id": factor_id,
        "formula_id": "S1-MOBILE-FUEL",
        "quantity": Decimal(quantity),
    }
    return row(1, kg, **{**fields, **given})


def market_row(kwh: str, formula_id: str, factor_id: str, **given: Any) -> CubeRow:
    return row(
        2,
        "0",
        basis="market",
        formula_id=formula_id,
        factor_id=factor_id,
        quantity=Decimal(kwh),
        **{"activity_type": "electricity:market", **given},
    )


def located(kwh: str, activity_type: str = "electricity:grid", **given: Any) -> CubeRow:
    kg = str(given.pop("kgco2e", 0))
    return row(2, kg, activity_type=activity_type, quantity=Decimal(kwh), **given)


def mix_of(*rows: CubeRow) -> EnergyMix:
    return energy_mix(rows, dict.fromkeys(("AR6", "AR5", "not_applicable"), FUELS), SOURCES)


def megawatt_hours(*rows: CubeRow) -> dict[str, Decimal]:
    """By row of the table; every entry of a part is found by its own selection."""
    found: dict[str, Decimal] = {}
    for part in mix_of(*rows).parts:
        covered = selected(rows, part.selection)
        assert covered
        mwh = total_of(covered, part.measure) * part.scale
        found[part.row] = found.get(part.row, Decimal(0)) + mwh
    return found


def test_a_quantity_of_fuel_times_its_net_energy() -> None:
    # 1000 L x 2.64 kg: the figure is of all of it.
    assert megawatt_hours(fuel_row("2640", "1000")) == {"oil": Decimal("9.9")}
    (part,) = mix_of(fuel_row("2640", "1000")).parts
    assert (part.measure, part.scale) == ("quantity", Decimal("0.0099"))


def test_each_version_of_a_factor_has_the_energy_it_was_published_with() -> None:
    """A factor that was corrected from 2.64 to 3 kg per litre: what was posted before is 9.9 kWh
    per litre as before, not its figure by the new factor.
    """
    corrected = replace(FUELS["diesel"], kg_per_unit=Decimal(3), net_kwh_per_unit=Decimal(10))
    fuels = {**FUELS, "diesel": corrected, "diesel#1": FUELS["diesel"]}
    old, new = fuel_row("2640", "1000"), fuel_row("3000", "1000", factor_version=2)
    mix = energy_mix((old, new), {"AR6": fuels}, SOURCES)
    assert [(selected((old, new), part.selection), part.measure) for part in mix.parts] == [
        ([old], "quantity"),
        ([new], "quantity"),
    ]
    assert [part.scale for part in mix.parts] == [Decimal("0.0099"), Decimal("0.01")]
    assert [part.part_id.rpartition("|")[2] for part in mix.parts] == ["1", "2"]
    # Alone, neither needs to be told apart; and by the newest alone the old one would be wrong.
    (alone,) = energy_mix((old,), {"AR6": fuels}, SOURCES).parts
    assert alone.selection.factor_versions == ()
    assert alone.scale == Decimal("0.0099")
    (wrong,) = energy_mix((old,), {"AR6": {"diesel": corrected}}, SOURCES).parts
    assert wrong.measure == "kgco2e"


def test_a_share_of_a_blend_is_what_its_figure_says() -> None:
    # Both lines of a blend have all the litres; 93 % of 1000 L are mineral diesel.
    found = megawatt_hours(fuel_row("2455.2", "1000"))
    assert found == {"oil": Decimal("9.207")}
    (part,) = mix_of(fuel_row("2455.2", "1000")).parts
    assert (part.measure, part.scale) == ("kgco2e", Decimal("0.00375"))


def test_gas_in_cubic_metres_with_a_calorific_value_is_what_its_figure_says() -> None:
    # 100 m3 x 11 kWh (gross) x 0.18 kg; 1100 kWh (gross) x 0.9.
    gas = fuel_row("198", "100", "gas", activity_type="fuel:natural_gas", unit="m3")
    assert megawatt_hours(gas) == {"natural_gas": Decimal("0.99")}


def test_gas_read_as_energy_is_of_the_heating_value_of_its_factor() -> None:
    gas = fuel_row("180", "1", "gas", activity_type="fuel:natural_gas", unit="MWh")
    assert megawatt_hours(gas) == {"natural_gas": Decimal("0.9")}
    (part,) = mix_of(gas).parts
    assert part.measure == "quantity"


def test_gases_by_distance_in_the_figure_add_no_fuel() -> None:
    # 10 US gallons: 100 kg of carbon dioxide, and methane by the mile on top.
    litres = "37.85411784"
    trip = fuel_row("101.5", litres, "us-diesel", kg_co2_fossil=Decimal(100), gas_split="available")
    without = fuel_row("100", litres, "us-diesel")
    half = fuel_row("50.75", litres, "us-diesel", kg_co2_fossil=Decimal(50), gas_split="available")
    for entry, mwh in ((trip, "0.38"), (without, "0.38"), (half, "0.19")):
        (found,) = megawatt_hours(entry).values()
        assert abs(found - Decimal(mwh)) < Decimal("1e-12")
    unknown = fuel_row("101.5", litres, "us-diesel")
    (left,) = mix_of(unknown).not_converted
    assert "carbon dioxide of the figure" in left.why


def test_renewable_fuel_is_a_row_of_its_own_and_its_flag_is_the_mix_s() -> None:
    pellets = fuel_row("2.64", "1", "pellets", activity_type="stationary_fuels", unit="t")
    assert list(megawatt_hours(pellets)) == ["fuel_renewable"]
    assert mix_of(pellets).flags == ("heating_value_not_stated",)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (fuel_row("1", "1", "tyres"), "nobody says"),
        (fuel_row("1", "1", "stated:a"), "factor stated:a is of no fuel"),
        (
            fuel_row("1", "1", "car", activity_type="vehicle_distance:car", unit="km"),
            "a distance was driven",
        ),
        (fuel_row("1", "1", gwp_set="AR5"), "posted with potentials AR5"),
        (fuel_row("2.64", "1", gwp_set="SAR"), "factor diesel is of no fuel"),
        (located("5", "vehicle_electricity", unit="km"), "km is no unit of energy"),
        (located("5", "magic"), "magic is no energy known here"),
    ],
)
def test_what_cannot_be_converted_is_named_and_flags_the_mix(entry: CubeRow, why: str) -> None:
    mix = mix_of(entry)
    (left,) = mix.not_converted
    assert mix.parts == ()
    assert why in left.why
    assert selected([entry], left.selection) == [entry]
    assert mix.flags == (NOT_DETERMINED,)


def test_what_burns_nothing_and_what_is_counted_elsewhere_is_no_energy() -> None:
    rows = [fuel_row("1", "1", activity_type=name) for name in BURN_NOTHING]
    rows += [located("5", name) for name in ("chilled_water", "electricity:exported")]
    rows += [row(3, "5", 3, activity_type="electricity:grid", basis="wtt")]
    rows += [row(0, "5", activity_type="vehicle_electricity", basis="informational")]
    rows += EVIDENCE
    assert BURN_NOTHING == ("process_emissions", "refrigerants")
    assert mix_of(*rows) == EnergyMix(parts=(), not_converted=())


@pytest.mark.parametrize(
    ("formula_id", "factor_id", "target"),
    [
        (S2_INSTRUMENT.formula_id, "instrument:wind", "purchased_renewable"),
        (S2_INSTRUMENT.formula_id, "instrument:atom", "nuclear"),
        (S2_INSTRUMENT.formula_id, "instrument:mix", "purchased_fossil"),
        (S2_RESIDUAL.formula_id, "residual:DE", "purchased_fossil"),
        (S2_GRID_AVERAGE.formula_id, "grid:DE", "purchased_fossil"),
        (S2_SAME.formula_id, "grid:DE", "purchased_fossil"),
        # A direct line whose certificates are not sold.
        (S2_SAME.formula_id, "energy_source:solar:x", "purchased_renewable"),
        (S2_SAME.formula_id, "energy_source:gas:x", "purchased_fossil"),
        (S2_OWN_GENERATION.formula_id, "rule:S2-OWN-GENERATION", "self_generated"),
    ],
)
def test_electricity_is_of_the_origin_its_market_based_line_rests_on(
    formula_id: str, factor_id: str, target: str
) -> None:
    market = market_row("1500", formula_id, factor_id)
    # The location-based line of the same kWh is not counted again.
    assert megawatt_hours(market, located("1500")) == {target: Decimal("1.5")}
    assert mix_of(market, located("1500")).flags == ()


@pytest.mark.parametrize("factor_id", ["instrument:odd", "instrument:nobody-knows"])
def test_an_instrument_of_an_unknown_source_is_fossil_and_flagged(factor_id: str) -> None:
    market = market_row("1000", S2_INSTRUMENT.formula_id, factor_id)
    assert megawatt_hours(market) == {"purchased_fossil": Decimal(1)}
    assert mix_of(market).flags == (SOURCE_UNKNOWN,)


def test_every_source_of_a_meter_has_an_origin() -> None:
    assert {*DIRECT_SUPPLIES, GRID} <= ORIGIN_OF_SOURCE.keys()
    # What a meter of own generation may be of is all renewable: row 10 is.
    assert {ORIGIN_OF_SOURCE[one] for one in GENERATION_SOURCES} == {"renewable"}


def test_a_site_without_market_based_lines_is_counted_by_its_meters() -> None:
    rows = (
        market_row("1000", S2_INSTRUMENT.formula_id, "instrument:wind"),
        located("1000"),
        located("400", facility_id="plant-2"),
        located("100", "self_generated:solar", facility_id="plant-2"),
        located("50", "vehicle_electricity"),
    )
    assert megawatt_hours(*rows) == {
        "purchased_renewable": Decimal(1),
        "purchased_fossil": Decimal("0.45"),
        "self_generated": Decimal("0.1"),
    }
    assert mix_of(*rows).flags == (ORIGIN_NOT_SPLIT,)


def test_what_vehicles_were_charged_with_is_counted_by_its_market_based_lines_once() -> None:
    charged = {"activity_type": "vehicle_electricity:market"}
    rows = (
        located("50", "vehicle_electricity"),
        # Of a distance kilometres are located, and the market-based line has the kWh.
        located("300", "vehicle_electricity", unit="km"),
        market_row("50", S2_INSTRUMENT.formula_id, "instrument:wind", **charged),
        market_row("60", S2_RESIDUAL.formula_id, "residual:DE", **charged, method=DISTANCE_BASED),
    )
    assert megawatt_hours(*rows) == {
        "purchased_renewable": Decimal("0.05"),
        "purchased_fossil": Decimal("0.06"),
    }
    assert mix_of(*rows).flags == ()
    # The meters of the same place have lines of their own, or none.
    assert megawatt_hours(*rows, located("1000")) == {
        "purchased_renewable": Decimal("0.05"),
        "purchased_fossil": Decimal("1.06"),
    }


CHARGED = {"activity_type": "vehicle_electricity:market"}


def test_a_distance_without_kwh_is_named_beside_what_was_charged_at_the_same_site() -> None:
    """1,000 kWh were charged and posted, 900 kg are of 5,000 km by an edition without a grid: they
    were in no row, and nothing said so.
    """
    read = located("1000", "vehicle_electricity")
    driven = located("5000", "vehicle_electricity", unit="km", factor_id="transport:x")
    posted = market_row("1000", S2_RESIDUAL.formula_id, "residual:DE", **CHARGED)
    mix = mix_of(read, driven, posted)
    assert megawatt_hours(read, driven, posted) == {"purchased_fossil": Decimal(1)}
    (left,) = mix.not_converted
    assert selected([read, driven, posted], left.selection) == [driven]
    assert "km is no unit of energy: of vehicles, no market-based line has it" in left.why
    assert mix.flags == (NOT_DETERMINED,)
    # Kilowatt hours of another site, or country, that are not posted are counted as they were read.
    for place in ({"facility_id": "plant-2"}, {"country_iso2": "FR"}):
        other = located("300", "vehicle_electricity", **place)
        assert megawatt_hours(read, posted, other) == {"purchased_fossil": Decimal("1.3")}
        assert mix_of(read, posted, other).flags == (ORIGIN_NOT_SPLIT,)


def test_of_distances_at_one_place_those_of_a_factor_without_a_grid_are_named() -> None:
    known = located("300", "vehicle_electricity", unit="km", factor_id="transport:a")
    strange = located("500", "vehicle_electricity", unit="km", factor_id="transport:b")
    line = market_row("60", S2_RESIDUAL.formula_id, "residual:DE", **CHARGED, method=DISTANCE_BASED)
    rows = (known, strange, line)
    rates = {("transport:a", 1, "AR6", "km"): Decimal("0.2"), ("transport:b", 1, "AR6", "km"): None}
    mix = energy_mix(rows, {}, SOURCES, rates)
    assert [total_of(selected(rows, one.selection), one.measure) for one in mix.parts] == [60]
    (left,) = mix.not_converted
    assert selected(rows, left.selection) == [strange]
    assert "transport:b is of no grid that is known" in left.why


def test_charging_posted_with_other_kwh_than_were_read_is_a_fault() -> None:
    posted = market_row("4000", S2_RESIDUAL.formula_id, "residual:DE", **CHARGED)
    read = located("10000", "vehicle_electricity", kgco2e=Decimal(5000))
    (fault,) = metered_faults([read, posted])
    assert fault.startswith("vehicles charged at DE/plant-1: metered 10000 kWh")
    # At half a kilogram per kWh the figure is of all, unless another segment has some of it.
    rates = {("f", 1, "AR6", "kWh"): Decimal("0.5")}
    assert metered_faults([read, posted], rates) == (fault,)
    part = located("10000", "vehicle_electricity", kgco2e=Decimal(2000))
    assert metered_faults([part, posted], rates) == ()
    # Of a distance no kWh were read, and a meter of the site has its own.
    assert metered_faults([replace(posted, method=DISTANCE_BASED)]) == ()
    (fault,) = metered_faults([located("4000"), posted])
    assert "metered 0 kWh" in fault


def test_heat_steam_and_cooling_are_purchased_and_fossil_and_once() -> None:
    rows = (
        located("2", "heat", unit="MWh"),
        located("500", "cooling"),
        row(2, "1", basis="market", activity_type="heat", quantity=Decimal(2000)),
    )
    assert megawatt_hours(*rows) == {"purchased_fossil": Decimal("2.5")}
    assert mix_of(*rows).flags == ()


def test_market_based_lines_of_other_kwh_than_were_metered_are_a_fault() -> None:
    rows = [
        market_row("900", S2_RESIDUAL.formula_id, "residual:DE"),
        market_row("100", S2_OWN_GENERATION.formula_id, "rule:x"),
        located("0.9", unit="MWh"),
        located("100", "self_generated:solar"),
        located("70", "electricity:exported"),
        located("5", facility_id="plant-2"),
    ]
    assert metered_faults(rows) == ()
    rows[2] = located("901")
    (fault,) = metered_faults(rows)
    assert "plant-1: metered 1001" in fault


# ---- entries of the real calculators


def as_row(line: EmissionLine) -> CubeRow:
    gases = dict(line.gases)
    return row(
        line.assignment.scope,
        str(line.kgco2e),
        line.assignment.category,
        basis=line.basis,
        activity_type=line.activity_type,
        unit=line.unit,
        gas_split=line.gas_split,
        quantity=line.quantity,
        gwp_set=line.gwp_set,
        factor_id=line.factor.factor.factor_id if line.factor else "rule",
        formula_id=line.working.formula.formula_id,
        kg_co2_fossil=gases.get(CO2, Decimal(0)),
        kg_co2_biogenic=gases.get(CO2_BIOGENIC, Decimal(0)),
    )


def of_lines(*lines: EmissionLine) -> tuple[dict[str, Decimal], EnergyMix]:
    rows = [as_row(one) for one in lines]
    book = shipped_book()
    mix = energy_mix(rows, fuels_used(rows, book, Policy().gwp_set, lambda _: book), {})
    found: dict[str, Decimal] = {}
    for part in mix.parts:
        mwh = total_of(selected(rows, part.selection), part.measure) * part.scale
        found[part.row] = found.get(part.row, Decimal(0)) + mwh
    return {name: round(mwh, 6) for name, mwh in found.items()}, mix


@pytest.mark.parametrize(
    ("changes", "mwh"),
    [
        # 2.06672 kg per m3 / 0.2027 kg per kWh (net).
        ({"quantity": "100", "unit": "m3"}, "1.019595"),
        ({"quantity": "1000", "unit": "kWh_net"}, "1"),
        ({"quantity": "1", "unit": "MWh", "heating_value": "gross"}, "0.902615"),
        (
            {
                "quantity": "10",
                "unit": "m3",
                "calorific_value": "11",
                "calorific_unit": "kWh/m3",
                "heating_value": "gross",
            },
            "0.099288",
        ),
    ],
)
def test_a_gas_meter_is_read_on_the_net_heating_value(changes: dict[str, Any], mwh: str) -> None:
    reading = meter_examples.reading(**meter_examples.GAS, **changes)
    found, mix = of_lines(*lines_of_meter_reading(reading, meter_examples.shipped()))
    assert found == {"natural_gas": Decimal(mwh)}
    assert mix.flags == ()


def test_biogas_of_a_meter_is_renewable_fuel() -> None:
    reading = meter_examples.reading(
        **meter_examples.GAS, fuel="biogas", quantity="500", unit="kWh"
    )
    found, mix = of_lines(*lines_of_meter_reading(reading, meter_examples.shipped()))
    assert found == {"fuel_renewable": Decimal("0.5")}
    assert mix.flags == ("heating_value_not_stated",)


@pytest.mark.parametrize(
    ("changes", "mwh"),
    [
        # 1000 L of the blend at the pump, at 9.905675644434 kWh: all of it in the fossil row.
        ({"fuel_type": "diesel", "fuel_litres": "1000"}, {"oil": "9.905676"}),
        # 900 L x 9.928193076694 and 100 L x 9.196470786389 kWh, though both lines say 1000 L.
        (
            {"fuel_type": "diesel", "fuel_litres": "1000", "biofuel_share": "0.1"},
            {"oil": "8.935374", "fuel_renewable": "0.919647"},
        ),
        # 100 US gallons of 10.21 kg CO2, of which 73.96 kg are in a million Btu, x 0.95.
        (
            {
                "country_iso2": "US",
                "fuel_type": "diesel",
                "fuel_litres": "378.5411784",
                "distance_km": "900",
                "biofuel_share": "0",
            },
            {"oil": "3.843487"},
        ),
    ],
)
def test_a_trip_has_the_energy_of_the_fuel_it_burnt(
    changes: dict[str, Any], mwh: dict[str, str]
) -> None:
    event = transport_examples.trip(**changes)
    found, mix = of_lines(*lines_of_trip(event, transport_examples.shipped()))
    assert found == {name: Decimal(value) for name, value in mwh.items()}
    assert mix.not_converted == ()


def test_a_trip_told_by_its_distance_has_no_known_energy() -> None:
    event = transport_examples.trip(fuel_type="diesel", distance_km="100")
    found, mix = of_lines(*lines_of_trip(event, transport_examples.shipped()))
    assert found == {}
    assert mix.flags == (NOT_DETERMINED,)
