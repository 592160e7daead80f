"""What a meter reading emits, and which readings are refused."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.energy.balance import net_fuel, own_generation
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.meter_registers import Reset, counted
from carbon_ledger.energy.meters import lines_of_meter_reading
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.lines import EmissionLine
from carbon_ledger.places import Rules, site_all_day, site_at
from carbon_ledger.posting import Origin, lines_of_reading
from carbon_ledger.reference.records import Meter, Site
from carbon_ledger.units import convert
from carbon_ledger.workings import posted_fraction
from tests.support.meter_examples import (
    GAS,
    NOW,
    START,
    assert_written,
    plain_grid,
    reading,
    shipped,
    stated,
)

SCHEMAS = Path(__file__).parents[2] / "carbon_ledger" / "schemas"


def line(event: MeterReadingEvent, *records: Any, **policy: Any) -> EmissionLine:
    event.check(NOW)
    (found,) = lines_of_meter_reading(event, shipped(*records, **policy))
    assert_written(found)
    return found


def refusal(event: MeterReadingEvent, *records: Any, **policy: Any) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as caught:
        line(event, *records, **policy)
    return caught.value


# ---- plain electricity is what the hot path posts

SITES = (
    Site(facility_id="plant", organization_id="acme", country_iso2="GB", time_zone="UTC"),
    Site(
        facility_id="plant",
        organization_id="acme",
        country_iso2="US",
        region="US-CA",
        time_zone="America/Los_Angeles",
    ),
    Site(facility_id="plant", organization_id="acme", country_iso2="KR", time_zone="Asia/Seoul"),
    None,
)


@pytest.mark.parametrize("site", SITES, ids=lambda one: one.country_iso2 if one else "none")
@pytest.mark.parametrize("country", ["GB", "DE", "KR", "US", "AU", "CN"])
@pytest.mark.parametrize("source", ["grid", "solar", "oil"])
@pytest.mark.parametrize(
    "moment", [datetime(2024, 12, 31, 23, 30, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)]
)
def test_a_plain_reading_gives_the_line_that_is_posted(
    site: Site | None, country: str, source: str, moment: datetime
) -> None:
    inventory = shipped(*([site] if site else []))
    rules = Rules(
        book=inventory.book,
        register=inventory.register,
        policy=inventory.policy,
        code_version="t",
    )
    given_fields: dict[str, Any] = {
        "sensor_id": "M1",
        "facility_id": "plant",
        "country_iso2": country,
        "energy_kwh": "1247.331",
        "energy_source": source,
        "grid_carbon_intensity_gco2_kwh": "400",
        "timestamp": moment,
        "interval_seconds": 900,
    }
    plain, event = IoTEnergyEvent(**given_fields), MeterReadingEvent(**given_fields)
    assert (plain.event_id, plain.activity_ref) == (event.event_id, event.activity_ref)
    (found,) = lines_of_meter_reading(event, inventory)
    origin = Origin(
        topic="t",
        topic_incarnation=0,
        kafka_partition=0,
        kafka_offset=0,
        batch_id=1,
        recorded_at=NOW,
        payload_sha256=b"",
        schema_sha256=b"",
    )
    (posted,) = lines_of_reading(plain, origin, rules)
    assert (found.kgco2e, found.gwp_set) == (posted.kgco2e, posted.gwp_set)
    assert found.factor is not None
    assert (found.factor.factor.factor_id, found.factor.how_matched) == (
        posted.factor_id,
        posted.factor_match,
    )
    gap = {"vintage_gap"} if found.factor.vintage_gap_years else set()
    assert {*found.flags, *gap} == set(filter(None, posted.flags.split(",")))
    for name, value in (
        ("basis", posted.basis),
        ("activity_type", posted.activity_type),
        ("quantity", posted.quantity),
        ("unit", posted.unit),
        ("occurred_from", posted.occurred_from),
        ("occurred_to", posted.occurred_to),
    ):
        assert getattr(found, name) == value
    assert found.working.formula.formula_id == posted.formula_id


def test_a_factor_with_gases_is_weighed_with_the_inventory_s_potentials() -> None:
    in_ar5, in_ar6 = line(reading(), gwp_set="AR5"), line(reading())
    assert in_ar5.kgco2e == Decimal("177")
    # 174.89 + 0.032143 x 27.9 + 0.0046038 x 273, from the published gases of UK 2025.
    assert in_ar6.kgco2e == Decimal("177.0436271")
    assert in_ar5.gases == in_ar6.gases


def test_a_life_cycle_figure_is_flagged_and_can_be_refused() -> None:
    assert "boundary_substitute" in line(reading(country_iso2="DE")).flags
    refused = refusal(reading(country_iso2="DE"), refuse_boundary_substitutes=True)
    assert refused.code == "boundary_substitute_refused"
    assert line(reading(), refuse_boundary_substitutes=True).kgco2e > 0


def test_a_residual_mix_is_never_a_location_based_figure() -> None:
    residual = plain_grid("DE", "0.7", 2025, basis="residual")
    with pytest.raises(RejectedRecord) as caught:
        lines_of_meter_reading(reading(country_iso2="DE"), stated(residual))
    assert caught.value.code == "not_a_location_factor"


# ---- published examples

P48 = "NHS Emission Quantification Recipe Book 22/23, Eq 5.5: UK 2019, printed 12.78 t"


def test_p48_nhs_electricity() -> None:
    # The printed equation mistypes 12780 for 50000; the result is right.
    event = reading(energy_kwh="50000", timestamp="2019-06-01T00:00:00Z")
    assert line(event, gwp_set="AR4").kgco2e == Decimal("12780"), P48


def test_p58_nevada_electricity_in_pounds() -> None:
    # Scope 2 calculation appendix: 1,000 MWh x 669.23 lb/MWh; it stops at 669,230 lb.
    per_mwh = convert(Decimal("669.23"), "lb", "kg")
    nevada = plain_grid("US", str(per_mwh.scaleb(-3)), 2024, region="US-NV")
    event = reading(
        country_iso2="US",
        region="US-NV",
        energy_kwh="0",
        quantity="1000",
        unit="MWh",
        timestamp="2024-06-01T00:00:00Z",
    )
    (found,) = lines_of_meter_reading(event, stated(nevada))
    assert_written(found)
    assert found.kgco2e == Decimal("303557.6217751")
    assert (found.quantity, found.unit) == (Decimal(1000), "MWh")


def test_p35a_electricity_of_an_end_user() -> None:
    # Scope 3 Standard, box 5.5: 90 MWh at 1 t/MWh.
    event = reading(energy_kwh="0", quantity="90", unit="MWh", timestamp="2024-06-01T00:00:00Z")
    (found,) = lines_of_meter_reading(event, stated(plain_grid("GB", "1")))
    assert found.kgco2e == Decimal(90_000)


# ---- gas, heat, own generation

FUELS = [
    # changes, kgCO2e by hand, flags beside those of the place
    (
        # m3 x 1.02264 x 39.5 MJ / 3.6 = kWh gross; UK 2025, gases in AR5.
        {
            "quantity": "100",
            "unit": "m3",
            "calorific_value": "39.5",
            "calorific_unit": "MJ/m3",
            "heating_value": "gross",
            "volume_correction": "1.02264",
        },
        Decimal(100) * Decimal("1.02264") * Decimal("39.5") * Decimal("0.18296"),
        Decimal("3.6"),
        set(),
    ),
    ({"quantity": "100", "unit": "m3"}, Decimal("206.672"), 1, {"calorific_value_not_stated"}),
    ({"quantity": "1000", "unit": "kWh_net"}, Decimal("202.7"), 1, set()),
    ({"quantity": "1", "unit": "MWh", "heating_value": "gross"}, Decimal("182.96"), 1, set()),
    (
        {
            "quantity": "10",
            "unit": "m3",
            "calorific_value": "11",
            "calorific_unit": "kWh/m3",
            "heating_value": "gross",
        },
        Decimal("20.1256"),
        1,
        set(),
    ),
]


@pytest.mark.parametrize(("changes", "product", "divisor", "flags"), FUELS)
def test_gas_is_scope_1_on_its_heating_value(
    changes: dict[str, Any], product: Decimal, divisor: Decimal, flags: set[str]
) -> None:
    found = line(reading(**GAS, **changes), gwp_set="AR5")
    assert found.kgco2e == (product / divisor).quantize(Decimal("1E-12"))
    assert (found.assignment.scope, found.basis) == (1, "combustion")
    assert set(found.flags) - {"unregistered_facility"} == flags


def test_a_meter_s_registered_calorific_value_is_used() -> None:
    meter = Meter(
        meter_id="M1",
        facility_id="plant",
        kind="main",
        carrier="gas",
        unit="m3",
        calorific_value_kwh_per_unit="11",
        heating_value="gross",
    )
    found = line(reading(**GAS, quantity="10", unit="m3"), meter, gwp_set="AR5")
    assert found.kgco2e == Decimal("20.1256")
    assert "register of meters, M1" in "\n".join(found.working.written())


def test_biogas_has_its_carbon_dioxide_beside_the_figure() -> None:
    found = line(reading(**GAS, quantity="100", unit="kWh", fuel="biogas"))
    assert found.kgco2e == Decimal("0.022")
    assert found.gases.get("CO2_biogenic") == Decimal("19.902")


def test_american_steam_is_counted_in_the_publisher_s_mmbtu() -> None:
    heat = {"energy_kwh": "0", "meter_kind": "steam", "country_iso2": "US"}
    found = line(reading(**heat, quantity="2", unit="MMBtu"), gwp_set="AR5")
    assert found.kgco2e == Decimal("132.79625")
    assert found.assignment.scope == 2


def test_heat_is_scope_2_with_its_own_factor() -> None:
    heat = reading(energy_kwh="0", meter_kind="heat", quantity="3.6", unit="GJ")
    assert line(heat, gwp_set="AR5").kgco2e == Decimal("175.29")


def test_purchased_cooling_without_a_published_factor_is_refused() -> None:
    event = reading(energy_kwh="0", meter_kind="cooling", quantity="1", unit="MWh")
    assert refusal(event).code == "factor_missing"


@pytest.mark.parametrize(
    ("changes", "activity", "flag"),
    [
        ({"meter_kind": "solar", "energy_source": "solar"}, "self_generated:solar", None),
        (
            {"meter_kind": "solar", "energy_source": "wind", "certificates_sold": True},
            "self_generated:wind",
            "certificates_sold",
        ),
        ({"meter_kind": "export"}, "electricity:exported", "not_netted"),
        ({"meter_kind": "chilled_water"}, "chilled_water", "counted_as_electricity"),
    ],
)
def test_what_was_not_purchased_is_kept_with_0_kg(
    changes: dict[str, Any], activity: str, flag: str | None
) -> None:
    found = line(reading(**changes))
    assert (found.kgco2e, found.activity_type) == (0, activity)
    assert found.quantity == Decimal(1000)
    assert flag is None or flag in found.flags


# ---- registers

REGISTERS = [
    # start, end, size, reset, counted, flags
    ("100", "250.5", None, None, "150.5", ()),
    ("100", "100", None, None, "0", ()),
    ("999990", "12", "1000000", None, "22", ("register_rollover",)),
    # Half the register is the most that is believed.
    ("600", "100", "1000", None, "500", ("register_rollover",)),
    ("900", "40", None, Reset(marker="r", final=Decimal(950)), "90", ("register_reset",)),
    (
        "900",
        "40",
        "1000",
        Reset(marker="r", final=Decimal(950), start=Decimal(15)),
        "75",
        ("register_reset",),
    ),
    (
        "990",
        "3",
        "1000",
        Reset(marker="r", final=Decimal(10), start=Decimal(1)),
        "22",
        ("register_reset", "register_rollover"),
    ),
]


@pytest.mark.parametrize(("start", "end", "size", "reset", "amount", "flags"), REGISTERS)
def test_a_register_counts_modulo_its_size(
    start: str, end: str, size: str | None, reset: Reset | None, amount: str, flags: tuple[str, ...]
) -> None:
    found = counted(
        Decimal(start), Decimal(end), size=None if size is None else Decimal(size), reset=reset
    )
    assert (found.amount, found.flags) == (Decimal(amount), flags)
    assert sum(sign * value for sign, value, _ in found.parts) == found.amount


BACKWARD = [
    # start, end, size, reset, most, code
    ("250", "100", None, None, None, "register_backward"),
    # 1000 to 990 would be 999,990 counted.
    ("1000", "990", "1000000", None, None, "register_backward"),
    ("600", "101", "1000", None, None, "register_backward"),
    ("999990", "12", "1000000", None, "20", "register_backward"),
    ("100", "1000", "1000", None, None, "register_out_of_range"),
    ("100", "250", None, None, "149", "consumption_implausible"),
    ("900", "40", "1000", Reset(marker="r", final=None), None, "reset_final_missing"),
    ("900", "40", None, Reset(marker="r", final=Decimal(899)), None, "register_backward"),
    (
        "900",
        "40",
        None,
        Reset(marker="r", final=Decimal(950), start=Decimal(41)),
        None,
        "register_backward",
    ),
]


@pytest.mark.parametrize(("start", "end", "size", "reset", "most", "code"), BACKWARD)
def test_a_register_that_cannot_have_counted_so_is_refused(
    start: str, end: str, size: str | None, reset: Reset | None, most: str | None, code: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        counted(
            Decimal(start),
            Decimal(end),
            size=None if size is None else Decimal(size),
            reset=reset,
            most=None if most is None else Decimal(most),
        )
    assert caught.value.code == code


@given(st.integers(0, 99_999), st.lists(st.integers(0, 40_000), min_size=1, max_size=6))
@settings(max_examples=60)
def test_differences_of_a_register_add_up_to_what_flowed(start: int, flows: list[int]) -> None:
    size = Decimal(100_000)
    shown, total = Decimal(start), Decimal(0)
    for flow in flows:
        after = (shown + flow) % size
        total += counted(shown, after, size=size).amount
        shown = after
    assert total == sum(flows)


def test_a_register_reading_is_the_same_as_the_interval_it_amounts_to() -> None:
    register = {"energy_kwh": "0", "unit": "kWh", "register_multiplier": "20"}
    event = reading(**register, register_start="999990", register_end="12", register_size="1000000")
    found = line(event)
    assert found.kgco2e == line(reading(energy_kwh="440")).kgco2e
    assert found.quantity == 440
    assert found.gases == line(reading(energy_kwh="440")).gases


def test_the_register_s_size_is_looked_up_where_the_reading_does_not_say() -> None:
    event = reading(energy_kwh="0", unit="kWh", register_start="999990", register_end="12")
    assert refusal(event).code == "register_backward"
    meter = Meter(
        meter_id="M1",
        facility_id="plant",
        kind="main",
        carrier="electricity",
        reading="cumulative",
        register_size="1000000",
    )
    assert line(event, meter).quantity == 22


# ---- fields that contradict each other

REFUSED = [
    ({"quantity": "5", "unit": "kWh"}, "two_quantities"),
    ({"register_start": "5", "register_end": "6", "unit": "kWh"}, "two_quantities"),
    ({"energy_kwh": "0", "quantity": "5"}, "unit_missing"),
    ({"unit": "kWh"}, "unit_without_use"),
    ({"energy_kwh": "0", "quantity": "5", "unit": "furlong"}, "unknown_unit"),
    ({"energy_kwh": "0", "quantity": "5", "unit": "m3"}, "incompatible_unit"),
    ({"energy_kwh": "0", "unit": "kWh", "register_start": "5"}, "register_incomplete"),
    ({"reset_marker": "meter_replaced"}, "reset_of_no_register"),
    (
        {
            "energy_kwh": "0",
            "unit": "kWh",
            "register_start": "5",
            "register_end": "1",
            "reset_final": "7",
        },
        "reset_without_marker",
    ),
    (
        {
            "energy_kwh": "0",
            "unit": "kWh",
            "register_start": "5",
            "register_end": "1",
            "reset_marker": "sunshine",
        },
        "unknown_reset_marker",
    ),
    ({"scope": 1}, "scope_not_applicable"),
    ({"scope": 3}, "scope_not_applicable"),
    ({**GAS, "scope": 2, "quantity": "1", "unit": "m3"}, "scope_not_applicable"),
    ({"meter_kind": "solar", "energy_source": "gas"}, "not_own_generation"),
    ({"meter_kind": "solar"}, "not_own_generation"),
    ({"meter_kind": "water"}, "unknown_meter_kind"),
    ({"heating_value": "gross"}, "not_a_fuel_meter"),
    (
        {**GAS, "quantity": "1", "unit": "m3", "calorific_value": "39"},
        "calorific_value_incomplete",
    ),
    (
        {
            **GAS,
            "quantity": "1",
            "unit": "m3",
            "calorific_value": "0",
            "calorific_unit": "MJ/m3",
            "heating_value": "net",
        },
        "out_of_range",
    ),
    (
        {
            **GAS,
            "quantity": "1",
            "unit": "m3",
            "calorific_value": "39",
            "calorific_unit": "MJ/kg",
            "heating_value": "net",
        },
        "incompatible_unit",
    ),
    ({**GAS, "quantity": "1", "unit": "kWh"}, "heating_value_missing"),
    ({**GAS, "quantity": "1", "unit": "kWh", "fuel": "peat"}, "unknown_fuel"),
    ({"energy_kwh": "-1"}, "negative_quantity"),
    ({"energy_kwh": "NaN"}, "not_finite"),
    ({"region": "US-CA"}, "region_country_mismatch"),
    ({"timestamp": "2030-01-01T00:00:00Z"}, "timestamp_out_of_range"),
    ({"energy_kwh": "0", "meter_kind": "steam", "quantity": "1", "unit": "t"}, "incompatible_unit"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_a_reading_that_cannot_be_right_is_refused(changes: dict[str, Any], code: str) -> None:
    assert refusal(reading(**changes)).code == code


@pytest.mark.parametrize(("changes", "valid"), [({"scope": 1}, "2"), ({**GAS, "scope": 2}, "1")])
def test_a_reading_of_another_scope_is_told_its_own(changes: dict[str, Any], valid: str) -> None:
    assert refusal(reading(**changes)).valid == valid


def test_the_schema_is_the_plain_one_with_fields_after_it_that_have_defaults() -> None:
    plain = json.loads((SCHEMAS / "iot_energy.avsc").read_text(encoding="utf-8"))["fields"]
    wide = json.loads((SCHEMAS / "meter_reading.avsc").read_text(encoding="utf-8"))["fields"]
    assert wide[: len(plain)] == plain
    assert all("default" in field for field in wide[len(plain) :])
    assert {field["name"] for field in wide} == {
        field.name for field in fields(MeterReadingEvent) if field.name != "problem"
    }


def test_a_record_of_the_plain_schema_is_the_same_reading() -> None:
    plain = IoTEnergyEvent("M1", "plant", "GB", "3.17", "grid", None, START, interval_seconds=900)
    event = MeterReadingEvent.from_avro_fields(plain.to_avro_fields(), NOW)
    assert event == reading(energy_kwh="3.17", interval_seconds=900)
    assert MeterReadingEvent.from_avro_fields(event.to_avro_fields(), NOW) == event


def test_a_json_reading_of_gas_needs_no_electrical_fields() -> None:
    event = MeterReadingEvent.from_fields(
        {
            "sensor_id": "G1",
            "facility_id": "plant",
            "country_iso2": "GB",
            "meter_kind": "gas",
            "scope": 1,
            "quantity": "5",
            "unit": "m3",
            "timestamp": "2025-05-01T10:00:00Z",
        },
        NOW,
    )
    assert line(event).kgco2e > 0


@pytest.mark.parametrize("kind", [None, "electricity", "export"])
def test_a_reading_of_electricity_says_of_which_source(kind: str | None) -> None:
    fields_given = {
        "sensor_id": "M1",
        "facility_id": "plant",
        "country_iso2": "GB",
        "energy_kwh": "5",
        "timestamp": "2025-05-01T10:00:00Z",
        **({} if kind is None else {"meter_kind": kind}),
    }
    with pytest.raises(RejectedRecord) as refused:
        MeterReadingEvent.from_fields(fields_given, NOW)
    assert (refused.value.code, refused.value.field) == ("missing_field", "energy_source")


# ---- E1-5


def test_own_use_is_generation_less_export_and_export_is_taken_off_nothing_else() -> None:
    own = own_generation([Decimal(700), Decimal(300)], [Decimal("150.5")])
    assert own.own_use.posted() == Decimal("0.8495")
    assert own.generated_mwh == Decimal(1)
    with pytest.raises(RejectedRecord) as caught:
        own_generation([Decimal(1)], [Decimal("1.001")])
    assert caught.value.code == "export_above_generation"


@pytest.mark.parametrize(("country", "source"), [("US", "epa_hub_2025"), ("AU", "nga_2024")])
def test_gas_is_found_by_the_words_of_the_country_where_it_was_burnt(
    country: str, source: str
) -> None:
    event = reading(**GAS, quantity="100", unit="kWh", heating_value="gross", country_iso2=country)
    (line,) = lines_of_meter_reading(event, shipped())
    assert line.factor is not None
    assert (line.factor.factor.source_id, line.factor.factor.country_iso2) == (source, country)
    assert "geography_proxy" not in line.flags


def test_fuel_is_counted_on_its_net_heating_value() -> None:
    approximated = net_fuel(Decimal(1100), "kWh_gross")
    assert approximated.working.posted() == 1
    assert approximated.flags == ("net_from_gross_approximated",)
    exact = net_fuel(Decimal(1100), "kWh_gross", Decimal("1.108"))
    assert exact.working.posted() == posted_fraction(exact.working.exact())
    assert exact.flags == ()
    sources = [one.working.terms[0].operands[-1].source for one in (approximated, exact)]
    assert sources == ["usual for natural gas", "the supplier"]
    assert net_fuel(Decimal(1), "MWh_net").working.posted() == 1
    for unit, code in (("kWh", "heating_value_missing"), ("m3", "incompatible_unit")):
        with pytest.raises(RejectedRecord) as caught:
            net_fuel(Decimal(1), unit)
        assert caught.value.code == code


def test_the_local_date_of_the_site_decides_the_year_of_the_factor() -> None:
    seoul = Site(
        facility_id="plant", organization_id="acme", country_iso2="GB", time_zone="Asia/Seoul"
    )
    event = reading(timestamp=datetime(2024, 12, 31, 16, tzinfo=UTC))
    found = line(event, seoul)
    assert found.factor is not None
    assert found.factor.factor.valid_from == date(2025, 1, 1)


def test_the_site_is_the_one_of_its_own_date() -> None:
    # 20:00 UTC is 1 May in Seoul, when the site's new row begins.
    def seoul(region: str, begin: str) -> Site:
        return Site(
            facility_id="plant",
            organization_id="acme",
            country_iso2="US",
            time_zone="Asia/Seoul",
            region=region,
            valid_from=begin,
        )

    sites = (seoul("US-CA", "2024-01-01"), seoul("US-NV", "2024-05-01"))
    event = reading(country_iso2="US", timestamp="2024-04-30T20:00:00Z")
    found = line(event, *sites)
    assert found.factor is not None
    assert found.factor.factor.region == "US-NV"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"unit": "kWh_gross", "heating_value": "net"}, "heating_value_contradicts_unit"),
        ({"unit": "GJ_net", "heating_value": "gross"}, "heating_value_contradicts_unit"),
        ({"unit": "kWh_gross", "volume_correction": "1.02"}, "not_a_volume"),
        (
            {
                "unit": "kWh",
                "heating_value": "gross",
                "calorific_value": "39",
                "calorific_unit": "MJ/m3",
            },
            "not_a_volume",
        ),
    ],
)
def test_what_contradicts_the_unit_of_a_fuel_is_not_passed_over(
    changes: dict[str, str], code: str
) -> None:
    with pytest.raises(RejectedRecord) as caught:
        lines_of_meter_reading(reading(**GAS, quantity="10", **changes), shipped())
    assert caught.value.code == code
    same = reading(**GAS, quantity="10", unit="kWh_gross", heating_value="gross")
    assert lines_of_meter_reading(same, shipped())[0].kgco2e > 0


def test_the_limit_of_a_meter_holds_over_a_reset() -> None:
    reset = Reset(marker="register_reset", final=Decimal(90))
    with pytest.raises(RejectedRecord) as caught:
        counted(Decimal(10), Decimal(80), reset=reset, most=Decimal(100))
    assert caught.value.code == "consumption_implausible"
    assert counted(Decimal(10), Decimal(20), reset=reset, most=Decimal(100)).amount == 100


def test_the_factor_of_a_reading_is_scored_by_its_vintage_and_place() -> None:
    older = stated(plain_grid("GB", "0.2", 2021))
    (line,) = lines_of_meter_reading(reading(), older)
    assert line.factor_scores is not None
    assert line.factor_scores.as_tuple() == (1, 2, 1, 2, 2)


@pytest.mark.parametrize("ratio", ["0", "-1.1", "0.9"])
def test_a_gross_heating_value_is_not_below_the_net_one(ratio: str) -> None:
    with pytest.raises(RejectedRecord) as caught:
        net_fuel(Decimal(1), "MWh_gross", Decimal(ratio))
    assert caught.value.code == "out_of_range"


def test_a_site_begins_and_ends_by_its_own_calendar() -> None:
    site = Site(
        facility_id="plant",
        organization_id="acme",
        country_iso2="KR",
        time_zone="Asia/Seoul",
        valid_from=date(2025, 1, 1),
        valid_to=date(2025, 7, 1),
    )
    register = shipped(site).register
    # Midnight in Seoul is 15:00 of the day before in UTC.
    for moment, is_there in (
        (datetime(2024, 12, 31, 14, 59, tzinfo=UTC), False),
        (datetime(2024, 12, 31, 15, tzinfo=UTC), True),
        (datetime(2025, 6, 30, 14, 59, tzinfo=UTC), True),
        (datetime(2025, 6, 30, 15, tzinfo=UTC), False),
    ):
        assert site_at("plant", moment, register) == (site if is_there else None)


@pytest.mark.parametrize("begins", [5, 6, 7, 8, 9])
def test_a_site_is_the_same_all_day_where_the_days_around_it_say_the_same(begins: int) -> None:
    """Somewhere on Earth it is the day before, or the day after, at every moment of a UTC day."""
    old, new = (
        Site(
            facility_id="plant",
            organization_id=name,
            country_iso2="DE",
            time_zone="Europe/Berlin",
            valid_from=valid_from,
        )
        for name, valid_from in (("old", date(2025, 1, 1)), ("new", date(2025, 3, begins)))
    )
    register = shipped(old, new).register
    site, is_same = site_all_day("plant", date(2025, 3, 7), register)
    assert site is not None
    assert site.organization_id == ("new" if begins <= 7 else "old")
    # From the 6th it is the new one on all three days, from the 9th on none.
    assert is_same is (begins in (5, 6, 9))
    assert site_all_day("other", date(2025, 3, 7), register) == (None, True)


def test_a_site_of_one_day_is_there_for_all_of_that_day_and_no_more() -> None:
    """In New York 1 July begins at 04:00 UTC; in Seoul at 15:00 UTC of 30 June."""
    for zone, begin in (
        ("America/New_York", datetime(2025, 7, 1, 4, tzinfo=UTC)),
        ("Asia/Seoul", datetime(2025, 6, 30, 15, tzinfo=UTC)),
    ):
        site = Site(
            facility_id="fair",
            organization_id="acme",
            country_iso2="US",
            time_zone=zone,
            valid_from=date(2025, 7, 1),
            valid_to=date(2025, 7, 2),
        )
        register = shipped(site).register
        for hours, is_there in ((-1, False), (0, True), (23, True), (24, False)):
            found = site_at("fair", begin + timedelta(hours=hours), register)
            assert found == (site if is_there else None)
